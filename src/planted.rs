//! Bugs on purpose, in a build of its own (`--cfg planted`) in which one of them
//! is chosen by the environment: the rig of power cuts has to find each. In every
//! other build `planted!` is `false`, and nothing of it is left.

/// Whether this bug is to be there.
macro_rules! planted {
    ($bug:literal) => {{
        #[cfg(planted)]
        let chosen = $crate::planted::is($bug);
        #[cfg(not(planted))]
        let chosen = false;
        chosen
    }};
}

/// Whether the environment chooses this bug.
#[cfg(planted)]
#[must_use]
pub(crate) fn is(bug: &str) -> bool {
    use std::sync::OnceLock;
    static CHOSEN: OnceLock<String> = OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("WIPEIT_PLANTED").unwrap_or_default()) == bug
}
