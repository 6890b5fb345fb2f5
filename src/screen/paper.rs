//! Where lines and the bar go.

use super::output::say;

/// Where lines and the bar go.
pub(super) trait Paper: Send {
    fn line(&mut self, text: &str);
    /// The bar; drawn over the one before.
    fn bar(&mut self, text: String);
    /// The bar is taken away for good.
    fn end(&mut self);
    /// Columns.
    fn width(&self) -> usize;
}

/// Lines only, on stderr.
pub(super) struct Log;

impl Paper for Log {
    fn line(&mut self, text: &str) {
        say(text);
    }
    fn bar(&mut self, _text: String) {}
    fn end(&mut self) {}
    fn width(&self) -> usize {
        0
    }
}
