//! The machine that a wipe runs on.

use serde::{Deserialize, Serialize};

use super::host::Host;
use super::sysfs::attribute;

/// The machine, as far as it says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Computer {
    pub name: Option<String>,
    /// Who made it and what it is.
    pub model: Option<String>,
}

impl Host {
    /// This machine's name and model.
    pub(crate) fn computer(&self) -> Computer {
        let dmi = self.sys.join("class/dmi/id");
        let dmi = |name: &str| attribute(&dmi, name);
        let parts: Vec<String> = [dmi("sys_vendor"), dmi("product_name")]
            .into_iter()
            .flatten()
            .collect();
        let model = if parts.is_empty() {
            // Boards without firmware tables.
            attribute(&self.proc, "device-tree/model")
        } else {
            Some(parts.join(" "))
        };
        Computer {
            name: attribute(&self.proc, "sys/kernel/hostname"),
            model,
        }
    }
}
