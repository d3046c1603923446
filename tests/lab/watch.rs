//! What is seen while a trial runs.

use crate::contender::Contender;
use crate::gauges::Gauges;
use crate::scenario::Scenario;

/// The terminal, or plain lines where there is none.
pub struct Screen {}

impl Screen {
    pub fn new() -> Self {
        Self {}
    }
    /// A trial begins.
    pub fn begin(&mut self, scenario: &'static Scenario, contender: Contender) {
        eprintln!("{}, {}", scenario.name, contender.name());
    }
    /// Shows how it goes; called some fifty times a second.
    pub fn draw(&mut self, _gauges: &Gauges) {}
}
