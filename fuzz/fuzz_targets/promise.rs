#![no_main]
use cowl::campaign::bodies;
// Whatever the program, the newest release keeps its promises, but for the breaches it is known for.
libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::promise(data));
libfuzzer_sys::fuzz_mutator! { |data: &mut [u8], size: usize, max: usize, seed: u32| { bodies::mutate(data, size, max, seed) } }
