//! Runs of Node that there were not, to see that they would be noticed.

use crate::{
    node::{Hook, Run},
    outcome::{self, Outcome},
};

impl Run {
    /// This run with one thing in it that was not so.
    pub(crate) fn doctored(&self) -> Vec<(String, Self)> {
        let mut doctored = Vec::new();
        let mut with = |what: String, change: &dyn Fn(&mut Self)| {
            let mut run = self.clone();
            change(&mut run);
            doctored.push((what, run));
        };
        for (x, exchange) in self.exchanges.iter().enumerate() {
            for outcome in outcome::ALL.into_iter().filter(|it| !exchange.outcomes.contains(it)) {
                with(format!("#{x} {outcome}"), &|run| run.exchanges[x].outcomes = vec![outcome]);
            }
            // Of what is upgraded no hooks are compared.
            let compared = exchange.outcomes != [Outcome::Upgraded];
            for hook in [Hook::RequestData, Hook::RequestClose, Hook::Finish, Hook::Close] {
                let other = usize::from(exchange.count(hook) == 0);
                let change = |run: &mut Self| {
                    run.exchanges[x].counts.insert(hook, other);
                };
                if compared {
                    with(format!("#{x} {} {other}", hook.name()), &change);
                }
            }
            with(format!("no #{x}"), &|run| {
                run.exchanges.remove(x);
            });
        }
        for (index, notes) in self.seen.iter().enumerate() {
            for field in notes
                .keys()
                .filter(|field| ["status", "body", "end", "ok"].contains(&field.as_str()))
            {
                let change = |run: &mut Self| {
                    run.seen[index].insert(field.clone(), "otherwise".into());
                };
                with(format!("{field} of {notes:?}"), &change);
            }
        }
        doctored
    }
}
