//! The XML that CI systems show: a suite for each kernel, a case for each scenario.

use quick_xml::escape::escape;

use super::matrix::{Came, Cell, Column};

/// The whole output. It tells no times: they would make two equal runs differ.
pub fn junit(columns: &[Column]) -> String {
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"cowl kernel\">\n".to_owned();
    for column in columns {
        let number = |is: fn(&Came) -> bool| column.cells.iter().filter(|cell| is(&cell.came)).count();
        out += &format!(
            "  <testsuite name=\"{} as {}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n",
            escape(&column.release),
            escape(&column.policy),
            column.cells.len(),
            number(|came| *came == Came::Differs),
            number(|came| matches!(came, Came::Crash(_))) + usize::from(column.failed.is_some()),
            number(|came| matches!(came, Came::Skip(_))),
        );
        out.extend(column.cells.iter().map(case));
        if let Some(why) = &column.failed {
            out += &format!("    <system-err>{}</system-err>\n", escape(why));
        }
        out += "  </testsuite>\n";
    }
    out + "</testsuites>\n"
}

fn case(cell: &Cell) -> String {
    let (file, name) = cell.title.split_once(": ").unwrap_or(("", &cell.title));
    let head = format!("    <testcase name=\"{}\" classname=\"{}\"", escape(name), escape(file));
    let details = escape(cell.details.join("\n")).into_owned();
    let body = match &cell.came {
        Came::Agrees => return format!("{head}/>\n"),
        Came::Skip(why) => format!("<skipped message=\"{}\"/>", escape(why)),
        Came::Differs => format!("<failure message=\"it came to {}\">{details}</failure>", escape(&cell.outcome)),
        Came::Crash(why) => format!("<error message=\"it crashed\">{}</error>", escape(why)),
    };
    format!("{head}>\n      {body}\n    </testcase>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_failures_and_crashes_are_errors() {
        let cell = |title: &str, came, details: &[&str]| Cell {
            title: title.to_owned(),
            outcome: "ok".to_owned(),
            came,
            details: details.iter().map(|line| (*line).to_owned()).collect(),
            entries: 1,
            unspecified: Default::default(),
        };
        let cells = vec![
            cell("a.cow: a", Came::Agrees, &[]),
            cell("a.cow: b", Came::Skip("no <swap>".to_owned()), &[]),
            cell("a.cow: c", Came::Differs, &["after `p: fork c`: engine 1, kernel 2"]),
            cell("a.cow: d", Came::Crash("it died".to_owned()), &[]),
        ];
        let column = Column { release: "6.18".to_owned(), policy: "linux-6.15".to_owned(), cells, failed: None };
        insta::assert_snapshot!(junit(&[column]), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="cowl kernel">
          <testsuite name="6.18 as linux-6.15" tests="4" failures="1" errors="1" skipped="1">
            <testcase name="a" classname="a.cow"/>
            <testcase name="b" classname="a.cow">
              <skipped message="no &lt;swap&gt;"/>
            </testcase>
            <testcase name="c" classname="a.cow">
              <failure message="it came to ok">after `p: fork c`: engine 1, kernel 2</failure>
            </testcase>
            <testcase name="d" classname="a.cow">
              <error message="it crashed">it died</error>
            </testcase>
          </testsuite>
        </testsuites>
        "#);
    }
}
