//! Looks for planted bugs: each must be found within a thousand seeds.

use cardswitch::planted::{self, Bug};

use crate::plan::Plan;
use crate::{reduce, run};

const SEEDS_MAX: u64 = 1_000;

/// Looks for the bug of a name, or for all; whether all were found.
pub(crate) fn find(name: &str, each: u32) -> bool {
    let is_wanted = |bug: &Bug| name == "all" || format!("{bug:?}") == name;
    let wanted: Vec<_> = Bug::ALL.iter().filter(|row| is_wanted(&row.0)).collect();
    let mut found = 0;
    for (bug, sentence) in &wanted {
        planted::set(Some(*bug));
        let seed = (1..=SEEDS_MAX).find_map(|seed| {
            let plan = Plan::draw(seed, each);
            run(&plan, false).violation.map(|what| (plan, what))
        });
        match seed {
            Some((plan, what)) => {
                // The same seed fails in the same way.
                let again = run(&plan, false).violation;
                if again.as_ref() != Some(&what) {
                    println!("{bug:?}: seed {} came out otherwise: {again:?}", plan.seed);
                    continue;
                }
                found += 1;
                let first = what.lines().next().unwrap_or_default().to_owned();
                println!("{bug:?}: seed {}: {first}", plan.seed);
                if name != "all" {
                    tell(&plan);
                }
            }
            None => println!(
                "{bug:?}: NOT FOUND in {SEEDS_MAX} seeds ({})",
                sentence.trim()
            ),
        }
        planted::set(None);
    }
    println!("{found} of {} planted bugs found", wanted.len());
    found == wanted.len() && found > 0
}

fn tell(plan: &Plan) {
    let (small, left) = reduce::reduce(plan, |plan| run(plan, false));
    println!("reduced to {left} messages; {}", small.describe());
    for line in run(&small, true).history {
        println!("  {line}");
    }
}
