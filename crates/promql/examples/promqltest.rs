//! Runs test files of the format of Prometheus and says how many of their cases pass.

#![expect(clippy::print_stdout, reason = "it is a program that prints")]

use daybook_promql::testfile::{Verdict, run};

fn main() {
    let verbose = std::env::var_os("QUIET").is_none();
    let mut all = [0; 3];
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path).expect("the file can be read");
        let cases = match run(&text) {
            Ok(cases) => cases,
            Err(error) => {
                println!("{path}: {error}");
                continue;
            }
        };
        let mut counts = [0; 3];
        for case in cases {
            let (kind, why) = match &case.verdict {
                Verdict::Passed => (0, None),
                Verdict::Failed(why) => (1, Some(why)),
                Verdict::Unparsed(why) => (2, Some(why)),
            };
            counts[kind] += 1;
            if let Some(why) = why.filter(|_| verbose) {
                println!("{path}:{}: {}\n    {}: {why}", case.line, case.query, ["", "FAILED", "UNPARSED"][kind]);
            }
        }
        println!("{path}: {} passed, {} failed, {} not parsed", counts[0], counts[1], counts[2]);
        all.iter_mut().zip(counts).for_each(|(all, count)| *all += count);
    }
    println!("{} passed, {} failed, {} not parsed", all[0], all[1], all[2]);
}
