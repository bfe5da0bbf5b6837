//! Tests of what the table is for: names and ranges, differences, coherence, users' policies.

use super::*;

fn named(name: &str) -> Policy {
    find(name).unwrap_or_else(|| panic!("`{name}` is not built in")).policy
}

fn names(from: Option<&str>, to: Option<&str>) -> Vec<&'static str> {
    range(from, to).unwrap_or_else(|error| panic!("{error}")).iter().map(|named| named.name).collect()
}

/// Settings as they are written: `knob = value, value`, one a line.
fn settings(text: &str) -> Vec<(&str, Vec<&str>)> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, values)| (key.trim(), values.split(',').map(str::trim).collect())).collect()
}

/// The settings that make one policy of another.
fn as_settings(from: &Policy, to: &Policy) -> String {
    let knobs = KNOBS.iter().filter(|knob| knob.get(from) != knob.get(to));
    let mut text: String = knobs.map(|knob| format!("{} = {}\n", knob.name, knob.value(to).name)).collect();
    text += &format!("lacks = {}\ndefect = {}\n", to.lacks, to.defects);
    text
}

fn mistakes(base: &str, text: &str) -> Vec<String> {
    let found = build(&named(base), settings(text)).expect_err("a mistake");
    let place = |mistake: &Mistake| match mistake.value {
        Some(value) => format!("{}.{value}", mistake.setting),
        None => mistake.setting.to_string(),
    };
    found.iter().map(|mistake| format!("{}: {}; {}", place(mistake), mistake.what, mistake.what.help())).collect()
}

#[test]
fn every_built_in_policy_is_coherent() {
    for named in builtin() {
        assert_eq!(named.policy.coherent(), Ok(()), "{}", named.name);
    }
}

#[test]
fn a_name_is_one_policy_and_latest_is_the_newest() {
    for (idx, one) in builtin().iter().enumerate() {
        assert!(builtin()[..idx].iter().all(|other| other.name != one.name), "{}", one.name);
        assert_eq!(find(one.name), Some(one));
    }
    assert_eq!(find("latest").map(|named| named.name), Some("linux-7.3"));
    assert_eq!(find("linux-5.10"), None);
    assert!(is_taken("linus-2021") && is_taken("latest") && is_taken("all") && !is_taken("my-split"));
}

#[test]
fn a_kernel_is_compared_with_its_stable_tree_or_the_newest_release_not_newer() {
    #[rustfmt::skip]
    let cases = [
        ("5.10.0-46-cloud-amd64", "linux-5.10-stable"), ("6.1.0-56-cloud-amd64", "linux-6.1-stable"),
        ("6.12.117+deb13-cloud-amd64", "linux-6.12"), ("6.18.15+deb13", "linux-6.18"), ("6.18.44", "linux-6.18"), ("7.0.13", "linux-6.18"),
        ("7.3.4+deb13-cloud-amd64", "linux-7.3"), ("5.10-rc1", "linux-5.10-stable"), ("5.7", "linux-5.7"), ("10.0", "linux-7.3"),
    ];
    for (release, policy) in cases {
        assert_eq!(of_kernel(release).map(|named| named.name), Some(policy), "{release}");
    }
    for release in ["4.19.0", "5.6.99", "", "6", "x.y", "-1.2"] {
        assert_eq!(of_kernel(release), None, "{release}");
    }
}

#[test]
fn a_range_takes_in_both_ends_and_releases_only() {
    assert_eq!(names(Some("linux-5.9"), Some("linux-5.17")), ["linux-5.9", "linux-5.11", "linux-5.12", "linux-5.17"]);
    assert_eq!(names(None, Some("linux-5.10")), ["linux-5.7", "linux-5.8", "linux-5.9"]);
    assert_eq!(names(Some("linux-6.13"), None), ["linux-6.15", "linux-6.18", "linux-7.3"]);
    assert_eq!(names(Some("latest"), None), ["linux-7.3"]);
    assert_eq!(names(Some("linux-6.12"), Some("linux-6.12")), ["linux-6.12"]);
    assert_eq!(names(None, None).len(), 17);
}

#[test]
fn a_range_without_meaning_says_why_and_what_to_write() {
    #[rustfmt::skip]
    let cases = [
        (Some("linux-5.13"), Some("linux-5.16"), "no built-in release lies between `linux-5.13` and `linux-5.16`", "widen it to take in linux-5.12 or linux-5.17"),
        (Some("linux-8.0"), None, "no built-in release is as new as `linux-8.0`", "widen it to take in linux-7.3"),
        (None, Some("linux-4.9"), "no built-in release is as old as `linux-4.9`", "widen it to take in linux-5.7"),
        (Some("linux-5.17"), Some("linux-5.9"), "the range runs backwards: `linux-5.17` is newer than `linux-5.9`", "write `linux-5.9..linux-5.17`"),
        (Some("linux-5.10-stable"), None, "`linux-5.10-stable` has no place in release order", "name `linux-5.10-stable` by itself, beside the range: stable trees and proposals are in none"),
        (None, Some("linus-2021"), "`linus-2021` has no place in release order", "name `linus-2021` by itself, beside the range: stable trees and proposals are in none"),
        (Some("linx-5.19"), None, "`linx-5.19` has no place in release order", "did you mean `linux-5.19`?"),
        (Some("mine"), None, "`mine` has no place in release order", "give a release such as `linux-5.9` at each end, or leave the end out"),
        (Some("linux-5.+9"), None, "`linux-5.+9` has no place in release order", "did you mean `linux-5.9`?"),
    ];
    for (from, to, says, help) in cases {
        let error = range(from, to).expect_err(says);
        assert_eq!((error.to_string().as_str(), error.help().as_str()), (says, help));
    }
}

#[test]
fn a_difference_names_its_commits_in_both_directions() {
    let commits = |from: &str, to: &str, knob: &str| {
        let all = diff(&named(from), &named(to));
        let found = all.iter().find(|difference| difference.name() == knob);
        found.unwrap_or_else(|| panic!("{from} and {to} agree on {knob}")).commits()
    };
    assert_eq!(commits("linux-5.18", "linux-5.19", "reuse_small"), "6c287605fd56 (5.19)");
    assert_eq!(commits("linux-5.19", "linux-5.18", "reuse_small"), "without 6c287605fd56 (5.19)");
    assert_eq!(commits("linux-5.8", "linux-5.9", "gup_ro"), "a308c71bf1e6 (5.9)");
    assert_eq!(commits("linux-5.9", "linux-5.8", "gup_ro"), "17839856fd58 (5.8), taken out by a308c71bf1e6 (5.9)");
    assert_eq!(commits("linux-5.11", "andrea-2021", "reuse_ksm"), "52d1e606ee73 (5.1), taken out by 1a0cf26323c8 (5.9)");
    assert_eq!(commits("linux-5.8", "linux-5.19", "gup_ro"), "a308c71bf1e6 (5.9); c89357e27f20, a7f226604170 (5.19)");
    assert_eq!(commits("linux-5.11", "andrea-2021", "reuse_small"), "without 09854ba94c6a (5.9)");
    assert_eq!(commits("linux-5.12", "gunthorpe-2021", "reuse_small"), "gunthorpe-2021");
    assert_eq!(commits("gunthorpe-2021", "linux-5.19", "reuse_small"), "6c287605fd56 (5.19)");
    assert_eq!(commits("linux-6.15", "linux-7.3", "swapin_drain"), "(7.3)");
}

#[test]
fn every_policy_can_be_written_as_a_difference_from_every_other() {
    for from in builtin() {
        assert_eq!(diff(&from.policy, &from.policy), []);
        for to in builtin() {
            let text = as_settings(&from.policy, &to.policy);
            let built =
                build(&from.policy, settings(&text)).unwrap_or_else(|found| panic!("{} {}: {found:?}", from.name, to.name));
            assert_eq!(built, to.policy, "{} as {} with {text}", to.name, from.name);
        }
    }
}

#[test]
fn a_user_s_policy_answers_as_its_base_but_for_its_settings() {
    let built = build(&named("linux-5.9"), settings("uffd_wp_tlb = on")).unwrap();
    let expected = Policy { uffd_wp_tlb: UffdWpTlb::On, ..named("linux-5.9") };
    assert_eq!(built, expected);
    let built = build(&named("latest"), settings("reuse_small = derived_bit\ndefect = B15, reuse_shared")).unwrap();
    assert_eq!(built.defects, Defects::of(&[Defect::B15, Defect::ReuseShared]));
}

#[test]
fn every_mistake_in_a_user_s_policy_is_found_and_says_what_to_write() {
    let text = "reuse_smal = ref1\ngup_ro = unshare_exl\nzero_pin = counted\nzero_pin = counted\nfork_seq = on, off\n\
                defect = B15, b21, none\nlacks = guards\nwp_pinned = maybe\nx = 1";
    #[rustfmt::skip]
    let expected = [
        "0: there is no knob `reuse_smal`; did you mean `reuse_small`?",
        "1.0: `gup_ro` has no value `unshare_exl`; did you mean `unshare_excl`? It is one of plain, forced_cow, unshare_mapcount, unshare_excl",
        "3: `zero_pin` is set twice; drop one of the two",
        "4: `fork_seq` takes one value; give `fork_seq` one word",
        "5.1: there is no defect `b21`; did you mean `B21`?",
        "5.2: `none` stands alone; drop `none`, or the others",
        "6.0: there is no verb `guards` that a policy could lack; did you mean `guard`?",
        "7.0: `wp_pinned` has no value `maybe`; use one of wp, skip, refuse",
        "8: there is no knob `x`; `cowl policies show latest` lists the knobs",
    ];
    assert_eq!(mistakes("linux-5.19", text), expected);
}

#[test]
fn combinations_that_no_kernel_could_mean_are_refused() {
    #[rustfmt::skip]
    let cases = [
        ("linux-5.12", "gup_ro = unshare_excl", "gup_ro", "reuse_small"),
        ("linux-5.12", "fork_pinned_pte = copy_if_excl_pinned", "fork_pinned_pte", "reuse_small"),
        ("linux-5.12", "swap_excl = marker", "swap_excl", "reuse_small"),
        ("linux-5.12", "thp_split_bit = propagate", "thp_split_bit", "reuse_small"),
        ("linux-5.12", "reuse_small = excl_or_ref1", "wp_clears_excl", "reuse_small"),
        ("linux-5.19", "thp_split_bit = no_bit", "thp_split_bit", "reuse_small"),
        ("linux-5.19", "reuse_small = ref1", "reuse_swapin", "reuse_small"),
        ("linux-5.9", "pin_acct = get_only", "fork_pinned_pte", "pin_acct"),
        ("linux-5.7", "pin_acct = get_only\nwp_pinned = refuse", "wp_pinned", "pin_acct"),
        ("linux-5.9", "page_mapcount = none", "reuse_pmd", "page_mapcount"),
        ("linux-5.19", "page_mapcount = none\nnuma_shared = mapcount", "numa_shared", "page_mapcount"),
        ("linux-5.9", "gup_ro = forced_cow", "gup_ro", "force_write"),
    ];
    for (base, text, knob, because) in cases {
        let found = build(&named(base), settings(text));
        match found.as_ref().map_err(Vec::as_slice) {
            Err([Mistake { what: What::Incoherent { incoherent, .. }, value: None, .. }]) => {
                assert_eq!((incoherent.knob.name, incoherent.because.name), (knob, because), "{base}: {text}");
            }
            _ => panic!("{base}: {text}: {found:?}"),
        }
    }
}

#[test]
fn designs_that_are_merely_wrong_are_coherent() {
    let cases = [
        ("linux-5.19", "wp_clears_excl = fork_only"),
        ("linux-5.19", "reuse_swapin = map_swap"),
        ("linux-5.19", "fork_pinned_pte = share\nfork_seq = off"),
        ("linux-5.7", "gup_ro = forced_cow\nforce_write = drop_write_flag"),
        ("linux-5.8", "force_write = cow_dirty_no_force\ngup_ro = unshare_mapcount"),
        ("linux-6.15", "page_mapcount = none"),
        ("linux-7.3", "wp_pinned = refuse\nvmsplice_ref = pin_longterm\nclear_refs_pinned = wp"),
        ("linux-5.7", "pin_acct = get_only"),
    ];
    for (base, text) in cases {
        assert!(build(&named(base), settings(text)).is_ok(), "{base}: {text}");
    }
}
