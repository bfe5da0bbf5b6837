#![no_main]
use cowl::campaign::bodies;
// Every form of output is well-formed.
libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::export(data));
libfuzzer_sys::fuzz_mutator! { |data: &mut [u8], size: usize, max: usize, seed: u32| { bodies::mutate(data, size, max, seed) } }
