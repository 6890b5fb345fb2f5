//! What a run of the engine is made of.

use super::event::Observer;
use super::state::Settings;
use super::target::{Control, Target};
use crate::plan::Plan;

/// Everything that a run of the engine uses.
pub struct Engine<'a> {
    /// What is done.
    pub plan: &'a Plan,
    /// How.
    pub settings: Settings,
    /// What it is done to.
    pub target: &'a dyn Target,
    /// Who hears of it.
    pub observer: &'a dyn Observer,
    /// What reaches in from outside.
    pub control: &'a dyn Control,
}
