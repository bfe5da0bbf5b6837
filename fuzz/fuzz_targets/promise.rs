#![no_main]
use cowl::campaign::bodies;
use libfuzzer_sys::Corpus;
// Whatever the program, the newest release keeps its promises, but for the breaches it is known for.
libfuzzer_sys::fuzz_target!(|data: &[u8]| -> Corpus { if bodies::promise(data) { Corpus::Keep } else { Corpus::Reject } });
libfuzzer_sys::fuzz_mutator! { |data: &mut [u8], size: usize, max: usize, seed: u32| { bodies::mutate(data, size, max, seed) } }
