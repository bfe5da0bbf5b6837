#![no_main]
use cowl::campaign::bodies;
// Whatever the program and the knobs, the books add up at every step.
libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::books(data));
libfuzzer_sys::fuzz_mutator! { |data: &mut [u8], size: usize, max: usize, seed: u32| { bodies::mutate(data, size, max, seed) } }
