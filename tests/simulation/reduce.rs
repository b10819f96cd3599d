//! Makes a failing plan small: fewer messages, fewer faults, a smaller world, as long as it fails.

use crate::plan::{FAULTS, Plan};
use crate::world::Report;

/// So many runs at most: one that is reduced less is better than none.
const RUNS_MAX: u32 = 3_000;

/// The smallest plan that was found to fail, and how many messages are left in it.
pub(crate) fn reduce(plan: &Plan, run: impl Fn(&Plan) -> Report) -> (Plan, u32) {
    let mut search = Search {
        best: plan.clone(),
        runs: 0,
        run,
    };
    search.cut_end();
    for _ in 0..2 {
        search.switch_faults_off();
        search.shrink_world();
        search.leave_messages_out();
        search.cut_end();
    }
    let left = (0..search.best.messages).filter(|number| !search.best.leaves_out(*number));
    let left = u32::try_from(left.count()).unwrap();
    (search.best, left)
}

struct Search<F> {
    best: Plan,
    runs: u32,
    run: F,
}

impl<F: Fn(&Plan) -> Report> Search<F> {
    /// Takes a plan in the place of the best one if it fails too.
    fn offer(&mut self, plan: Plan) -> bool {
        if self.runs >= RUNS_MAX || plan == self.best {
            return false;
        }
        self.runs += 1;
        let fails = (self.run)(&plan).violation.is_some();
        if fails {
            self.best = plan;
        }
        fails
    }

    /// Nothing after the last message that was thought of matters.
    fn cut_end(&mut self) {
        let last = (self.run)(&self.best).last_message;
        self.offer(Plan {
            messages: last + 1,
            ..self.best.clone()
        });
    }

    fn switch_faults_off(&mut self) {
        for (_, rate) in FAULTS {
            let mut plan = self.best.clone();
            *rate(&mut plan.faults) = 0;
            self.offer(plan);
        }
        let plan = self.best.clone();
        self.offer(Plan {
            checkpoints: 0,
            ..plan
        });
    }

    fn shrink_world(&mut self) {
        for acquirers in 1..self.best.acquirers {
            let plan = self.best.clone();
            if self.offer(Plan { acquirers, ..plan }) {
                break;
            }
        }
        for cards in [1, 2, 4] {
            let plan = self.best.clone();
            if cards < plan.cards && self.offer(Plan { cards, ..plan }) {
                break;
            }
        }
    }

    fn leave_messages_out(&mut self) {
        let mut length = self.best.messages / 2;
        while length > 0 {
            let mut start = 0;
            while start < self.best.messages {
                let end = (start + length).min(self.best.messages);
                if (start..end).any(|number| !self.best.leaves_out(number)) {
                    let mut plan = self.best.clone();
                    plan.left_out.push(start..end);
                    self.offer(plan);
                }
                start = end;
            }
            length /= 2;
        }
    }
}
