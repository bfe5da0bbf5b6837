//! Text to measure with: scenarios as people write them, their numbers and names varied.

/// About `bytes` of scenarios, whole ones, the same ones at every run.
pub fn scenarios(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 4096);
    let mut number = 0;
    while text.len() < bytes {
        number += 1;
        let page = number % 7;
        text.push_str(&format!(
            r#"# Scenario {number}: a child keeps a reference and reads what its parent writes later.
prepare kind-{number}(p, n) {{ p: mmap buf 8 pages ; p: write buf[..n] "old" }}

scenario vmsplice-child-{number} over kind-{number}({page}), kind-{number}(8) {{
    title  "a child's vmsplice reference sees the parent's later write"
    origin "CVE-2020-29374; B1"

    use over(parent)
    parent: fork child
    child:  vmsplice buf[{page}] -> pipe
    child:  munmap buf
    race {{
        parent:   write buf[{page}]+8 "new"
        parent/2: pin buf rw fast -> nic      # overtakes
    }}
    child:  peek pipe == "old" or {number}
    parent: mprotect buf ro fails EBUSY
    parent: write buf 0xcf
    assert parent.buf not shares child.buf on linux-5.9..

    expect sometimes leak on ..linux-5.7, andrea-2021 "reuse asks the mapcount"
    expect never leak     on linux-5.8.. over kind-{number}(8)
}}

"#
        ));
    }
    text
}
