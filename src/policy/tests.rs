//! The tables of `semantics.md` 2.2, 2.3 and 2.5, written down a second time as words, against what `era` makes of them.

use strum::VariantNames;

use super::*;

/// Every release's answer, `=` as the one before. Rows without a line in 2.2 follow the releases given in 2.1.
const RELEASES: &str = "
linux-               5.7 5.8 5.9 5.11 5.12 5.17 5.18 5.19 6.0 6.1 6.2 6.5 6.8 6.12 6.15 6.18 7.3
reuse_small          map_swap = ref1 = = = ref1_drain excl_or_ref1 = = = = = = = = =
reuse_swapin         map_swap = = = = = ref1 excl_or_ref1 = = = = = = = = excl_only
reuse_pmd            map_swap_copyhuge map_swap_split = = = = ref1 excl_or_ref1 = = = = = = = = =
reuse_large_pte      map_swap = ref1_folio = = = = excl_or_ref1_folio = = = = = excl_only excl_or_mmowner = =
reuse_hugetlb        mapcount1 = = = = = = mapcount1_excl = = = = = = = = =
reuse_ksm            ref1_frozen = never = = = = = = = = = = = = = =
gup_ro               plain forced_cow plain = = = = unshare_excl = = = = = = = = =
gup_ro_lt_nonanon    allow = = = = = = = = = unshare = = = = = =
force_write          cow_dirty cow_dirty_no_force cow_dirty = = = = = anon_excl = = = = = = = =
pin_acct             bias_pincount = = = = = = = = = = = = = = = =
fork_pinned_pte      share = copy_if_pinned = = = = copy_if_excl_pinned = = = = = = = = =
fork_pinned_pmd      share = split_then_pte = = = = = = = = = = = = = =
fork_pinned_hugetlb  share = = = copy = = = = = = = = = = = =
fork_seq             off = = on = = = on_hugetlb = = = = = = = = =
gupfast_order        tlb_ipi = = = = = = = = barriers = = = = = = =
clear_refs_pinned    wp = = skip = = = = = = = = = = = = =
clear_refs_lock      mmap_lock_read = = mmap_lock_write = = = = = = = = = = = = =
wp_pinned            wp = = = = = = = = = = = = = = = =
prot_upgrade         shared_dirty_only = = = = = = = excl_dirty = excl = = = = = =
wp_clears_excl       no_bit = = = = = = fork_unmap_ksm = = = = = = = = =
swap_excl            none = = = = = = marker = = = = = = = = =
swapout_pinned       late_refcheck = = skip_if_maybe_pinned = = = unmap_fails_if_pinned = = = = = = = = =
migr_excl            read_write = = = = = = read_excl_write = = = = = = = = =
thp_split_bit        no_bit = = = = = = propagate = = = = = = = = =
ksm_wp               refcheck = = = = = = refcheck_share = = = = = = = = =
ksm_unmerge_fault    write = = = = = = = = = unshare = = = = = =
zero_pin             counted = = = = = = = = = = not_counted = = = = =
vmsplice_ref         get = = = = = = = = = = = = = = = =
dio_ref              get = = = = = = = = = = pin = = = = =
numa_shared          mapcount = = = = page_count = = = = = = = maybe_mapped_shared = = =
uffd_wp_tlb          off = = = on = = = = = = = = = = = =
hugetlb_force_write  allowed_unsafe = = = = = = = = = rejected = = = = = exclusive_only
page_mapcount        per_page = = = = = = = = = = = = = = = =
uffd_move            absent = = = = = = = = = = = present = = = =
huge_zero_write      split = = = = = = = = = = = = = alloc_thp = =
mremap_uffd_wp       keep = = = = = = = = = = = = = drop = =
collapse_shared      einval = = = = = = = = = = = = = = copy =
swapin_sync          bypass_cache = = = = = = = = = = = = = = = through_cache
swapin_read_map      ro = = = = = = = = = writable = = = = = =
swapin_drain         no_drain = = = = = drain = = = = = = = = = no_drain
proc_mem_force       allowed = = = = = = = = = = = = = = = attached_tracer
ksm_unmerge_zero     leave = = = = = = = = = = = unshare = = = =
";

/// D8 and the defects: the releases that lack a verb, or have a defect. Empty: none of those built in.
const SPANS: &[(&str, Option<&str>, Option<&str>)] = &[
    ("uffd_wp", None, None),
    ("populate", Some("5.7"), Some("5.13")),
    ("uffd_minor_hugetlb", Some("5.7"), Some("5.12")),
    ("uffd_minor_shmem", Some("5.7"), Some("5.13")),
    ("hugetlb_dontneed", Some("5.7"), Some("5.17")),
    ("uffd_wp_file", Some("5.7"), Some("5.18")),
    ("uffd_wp_vmas", Some("5.7"), Some("6.2")),
    ("uffd_wp_async", Some("5.7"), Some("6.5")),
    ("collapse", Some("5.7"), Some("6.0")),
    ("guard", Some("5.7"), Some("6.12")),
    ("pin_file", Some("6.5"), Some("7.3")),
    ("uffd_drop_wp", Some("7.3"), Some("7.3")),
    ("B3", None, None),
    ("B4", None, None),
    ("B5", Some("5.7"), Some("5.7")),
    ("B7", None, None),
    ("B15", None, None),
    ("B21", Some("5.7"), Some("6.0")),
    ("B22", Some("5.7"), Some("5.19")),
    ("B22b", Some("5.7"), Some("6.0")),
    ("B30", Some("6.15"), Some("6.19")),
    ("B31", Some("6.8"), Some("6.15")),
    ("B32", Some("6.8"), Some("7.3")),
    ("B35", Some("5.9"), Some("5.18")),
    ("B36", Some("5.7"), Some("6.2")),
    ("B41", Some("6.8"), Some("7.2")),
];

/// Keys, and the words behind `=`.
type Settings = &'static [(&'static str, &'static [&'static str])];

/// The proposals' and stable trees' bases, and all they answer otherwise.
#[rustfmt::skip]
const OTHERS: &[(&str, &str, Settings)] = &[
    ("linux-5.10-stable", "linux-5.9", &[
        ("fork_seq", &["on"]), ("clear_refs_pinned", &["skip"]), ("clear_refs_lock", &["mmap_lock_write"]),
        ("swapout_pinned", &["skip_if_maybe_pinned"]), ("uffd_wp_tlb", &["on"]), ("defect", &["B22", "B22b", "B36"]),
    ]),
    ("linux-6.1-stable", "linux-6.1", &[
        ("zero_pin", &["not_counted"]), ("hugetlb_force_write", &["rejected"]), ("mremap_uffd_wp", &["drop"]),
        ("defect", &["none"]),
    ]),
    ("linus-2021", "linux-5.11", &[("wp_pinned", &["skip"])]),
    ("andrea-2021", "linux-5.11", &[
        ("reuse_small", &["map_swap"]), ("reuse_large_pte", &["map_swap"]), ("reuse_ksm", &["ref1_frozen"]),
        ("clear_refs_pinned", &["wp"]),
    ]),
    ("hildenbrand-2021", "linux-5.12", &[("gup_ro", &["unshare_mapcount"])]),
    ("gunthorpe-2021", "linux-5.12", &[
        ("reuse_small", &["derived_bit"]), ("reuse_swapin", &["derived_bit"]), ("reuse_pmd", &["derived_bit"]),
        ("reuse_large_pte", &["derived_bit"]), ("clear_refs_pinned", &["wp"]), ("wp_clears_excl", &["fork_only"]),
        ("thp_split_bit", &["recompute_from_refcount"]),
    ]),
];

/// 2.3 cell by cell, also where a proposal keeps its base's answer.
const PROPOSALS: &str = "
                linus-2021       andrea-2021     hildenbrand-2021  gunthorpe-2021           linux-5.19
reuse_small     ref1             map_swap        ref1              derived_bit              excl_or_ref1
reuse_swapin    map_swap         map_swap        map_swap          derived_bit              excl_or_ref1
reuse_pmd       map_swap_split   map_swap_split  map_swap_split    derived_bit              excl_or_ref1
reuse_large_pte ref1_folio       map_swap        ref1_folio        derived_bit              excl_or_ref1_folio
reuse_ksm       never            ref1_frozen     never             never                    never
gup_ro          plain            plain           unshare_mapcount  plain                    unshare_excl
fork_pinned_pte copy_if_pinned   copy_if_pinned  copy_if_pinned    copy_if_pinned           copy_if_excl_pinned
clear_refs_pinned skip           wp              skip              wp                       skip
wp_pinned       skip             wp              wp                wp                       wp
wp_clears_excl  no_bit           no_bit          no_bit            fork_only                fork_unmap_ksm
thp_split_bit   no_bit           no_bit          no_bit            recompute_from_refcount  propagate
";

fn named(name: &str) -> &'static Policy {
    &find(name).unwrap_or_else(|| panic!("`{name}` is not built in")).policy
}

fn answer(policy: &Policy, knob: &str) -> &'static str {
    Knob::find(knob).unwrap_or_else(|| panic!("no knob `{knob}`")).value(policy).name
}

/// A release number that compares as releases do.
fn number(text: &str) -> (u16, u16) {
    let (major, minor) = text.split_once('.').unwrap_or_else(|| panic!("`{text}` is no release"));
    (major.parse().unwrap(), minor.parse().unwrap())
}

fn releases() -> impl Iterator<Item = (&'static Named, (u16, u16))> {
    builtin().iter().filter_map(|named| match named.kind {
        Kind::Release(major, minor) => Some((named, (major, minor))),
        Kind::Stable | Kind::Proposal => None,
    })
}

#[test]
fn every_release_answers_as_the_table_says() {
    let mut lines = RELEASES.lines().skip(1).map(str::split_whitespace);
    let head: Vec<_> = lines.next().unwrap().skip(1).map(|release| format!("linux-{release}")).collect();
    assert_eq!(head, releases().map(|(named, _)| named.name).collect::<Vec<_>>());
    let mut rows = 0;
    for mut line in lines {
        let knob = line.next().unwrap();
        let mut before = "";
        let mut columns = 0;
        for (release, cell) in head.iter().zip(line) {
            before = if cell == "=" { before } else { cell };
            assert_eq!(answer(named(release), knob), before, "{knob} under {release}");
            columns += 1;
        }
        assert_eq!(columns, head.len(), "{knob}");
        rows += 1;
    }
    assert_eq!(rows, KNOBS.len(), "a row for each knob and detail");
}

#[test]
fn verbs_are_lacking_and_defects_are_there_as_long_as_the_table_says() {
    for (named, release) in releases() {
        for (word, first, last) in SPANS {
            let inside =
                first.is_some_and(|first| number(first) <= release) && last.is_some_and(|last| release <= number(last));
            let has = match word.parse() {
                Ok(defect) => named.policy.defects.has(defect),
                Err(_) => named.policy.lacks.has(word.parse().unwrap()),
            };
            assert_eq!(has, inside, "{word} under {}", named.name);
        }
        let gallery = named.policy.defects.iter().all(|defect| SPANS.iter().any(|(word, ..)| *word == defect.to_string()));
        assert!(gallery, "{} has a defect that no kernel had", named.name);
    }
    for feature in Feature::VARIANTS {
        assert!(SPANS.iter().any(|(word, ..)| word == feature), "{feature} has no row");
    }
}

#[test]
fn stable_trees_and_proposals_differ_from_their_bases_as_the_table_says() {
    for (name, base, settings) in OTHERS {
        let settings = settings.iter().map(|(key, words)| (*key, words.to_vec()));
        let built = build(named(base), settings).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:?}"));
        assert_eq!(diff(&built, named(name)), [], "{name}");
    }
    assert_eq!(OTHERS.len() + releases().count(), builtin().len());
}

#[test]
fn proposals_answer_as_the_table_says() {
    let mut lines = PROPOSALS.lines().skip(1);
    let head: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    for line in lines {
        let mut cells = line.split_whitespace();
        let knob = cells.next().unwrap();
        let row: Vec<_> = cells.collect();
        assert_eq!(row.len(), head.len(), "{knob}");
        for (name, cell) in head.iter().zip(row) {
            assert_eq!(answer(named(name), knob), cell, "{knob} under {name}");
        }
    }
}

#[test]
fn a_value_appears_with_the_first_built_in_release_after_the_one_that_had_it() {
    for knob in KNOBS {
        for value in knob.values().iter().filter(|value| !value.since.is_empty()) {
            let has = |named: &Named| knob.value(&named.policy).name == value.name;
            let first = releases().find(|(named, _)| has(named)).map(|(named, _)| named.name);
            let expected = releases().find(|(_, release)| number(value.since) <= *release).map(|(named, _)| named.name);
            let replaced_in = value.removed.rsplit_once(", ").map(|(_, release)| number(release));
            let older = replaced_in.is_some_and(|release| release <= (5, 7));
            assert!(older && first.is_none() || first == expected, "{}: {} since {}", knob.name, value.name, value.since);
        }
    }
}

#[test]
fn every_value_is_a_release_s_a_proposal_s_or_says_what_became_of_it() {
    for knob in KNOBS {
        for (index, value) in knob.values().iter().enumerate() {
            let used = builtin().iter().any(|named| knob.get(&named.policy) == index);
            let says = !value.proposed.is_empty() || !value.removed.is_empty();
            assert!(used || says, "{}: nothing has {}", knob.name, value.name);
            let doc = value.doc.trim();
            assert!(doc.ends_with('.') && 2 < doc.len(), "{}: {} is not documented", knob.name, value.name);
            let unborn = value.since.is_empty() && value.commits.is_empty();
            assert!(unborn || value.proposed.is_empty(), "{}: {} is a release's and a proposal's", knob.name, value.name);
        }
    }
}

#[test]
fn every_commit_behind_a_difference_of_two_releases_is_named_in_the_story() {
    let story = include_str!("era.rs");
    let all: Vec<_> = releases().collect();
    for pair in all.windows(2) {
        for difference in diff(&pair[0].0.policy, &pair[1].0.policy) {
            let text = difference.commits();
            for commit in text.split([' ', ',', ';', '(', ')']).filter(|word| word.len() == 12) {
                assert!(story.contains(commit), "{} to {}: {text}", pair[0].0.name, pair[1].0.name);
            }
        }
    }
}

#[test]
fn numbers_questions_homes_and_names_are_in_order() {
    let numbers =
        (1..=34).map(|number| format!("K{number}")).chain([1, 2, 3, 4, 5, 6, 7, 9].map(|number| format!("D{number}")));
    assert_eq!(KNOBS.iter().map(Knob::number).collect::<Vec<_>>(), numbers.collect::<Vec<_>>());
    for knob in KNOBS {
        assert!(knob.question().ends_with('?'), "{}", knob.name);
        assert!(knob.home().starts_with("engine::"), "{}", knob.name);
        let sources = [include_str!("knobs.rs"), include_str!("details.rs")].concat();
        assert!(
            sources.contains(&format!("{} Home: `{}`.\n    {} {{", knob.question(), knob.home(), knob.type_name())),
            "{}",
            knob.name
        );
        let camel: String = knob.name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
        // `UffdMove` itself is a verb.
        assert!(knob.type_name() == camel || knob.type_name() == camel.clone() + "Ioctl", "{}", knob.name);
        let snake = |word: &str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        assert!(knob.values().iter().all(|value| snake(value.name)), "{}", knob.name);
    }
}

#[test]
fn the_table_has_every_field() {
    let debug = format!("{:#?}", era::LATEST);
    let fields: Vec<_> =
        debug.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": ")).map(|(field, _)| field).collect();
    let names: Vec<_> = KNOBS.iter().map(|knob| knob.name).chain(["lacks", "defects"]).collect();
    assert_eq!(fields, names);
}

#[test]
fn setting_a_knob_changes_that_knob_only() {
    for knob in KNOBS {
        for index in 0..knob.count() {
            let mut policy = era::LATEST;
            assert!(knob.set(&mut policy, index));
            assert_eq!(knob.get(&policy), index, "{}", knob.name);
            assert!(diff(&era::LATEST, &policy).iter().all(|difference| difference.name() == knob.name));
        }
        let mut policy = era::LATEST;
        assert!(!knob.set(&mut policy, knob.count()), "{}", knob.name);
        assert_eq!(policy, era::LATEST);
    }
}
