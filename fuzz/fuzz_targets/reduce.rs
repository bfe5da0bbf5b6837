#![no_main]
use cowl::campaign::bodies;
// A reduction shows the same bug and never grows.
libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::reduce(data));
libfuzzer_sys::fuzz_mutator! { |data: &mut [u8], size: usize, max: usize, seed: u32| { bodies::mutate(data, size, max, seed) } }
