//! The tests by topic.

mod facts;
mod input;
mod interrupts;
mod order;
mod output;
mod refusals;
mod resume;
mod slow;
mod vm;
mod wiping;

/// All of them.
pub fn all() -> Vec<libtest_mimic::Trial> {
    [
        wiping::cases(),
        refusals::cases(),
        facts::cases(),
        input::cases(),
        interrupts::cases(),
        slow::cases(),
        order::cases(),
        output::cases(),
        resume::cases(),
        // Last: they wait for each other, and would keep the rest waiting.
        vm::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
