#![no_main]
use cowl::campaign::claims;
// Whatever the bytes, parsing ends with a tree and places that lie within the text.
libfuzzer_sys::fuzz_target!(|data: &[u8]| claims::parse(data));
