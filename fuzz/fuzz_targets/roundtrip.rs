#![no_main]
use cowl::campaign::claims;
// What parses has one layout, and what lowers prints as a text that lowers to the same.
libfuzzer_sys::fuzz_target!(|data: &[u8]| claims::roundtrip(data));
