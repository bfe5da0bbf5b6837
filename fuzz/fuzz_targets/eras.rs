#![no_main]
use cowl::campaign::bodies;
// Where two releases part, a decision parts before.
libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::eras(data));
libfuzzer_sys::fuzz_mutator! { |data: &mut [u8], size: usize, max: usize, seed: u32| { bodies::mutate(data, size, max, seed) } }
