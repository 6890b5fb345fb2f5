//! The tests by topic.

mod facts;
mod input;
mod interrupts;
mod list;
mod order;
mod output;
mod refusals;
mod resume;
mod slow;
mod wiping;

/// All of them.
pub fn all() -> Vec<libtest_mimic::Trial> {
    [
        wiping::cases(),
        refusals::cases(),
        facts::cases(),
        input::cases(),
        interrupts::cases(),
        list::cases(),
        slow::cases(),
        order::cases(),
        output::cases(),
        resume::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
