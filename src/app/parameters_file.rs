//! A file of churn parameters, as written by `fit`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Failure;
use crate::churn::{Fgp, GammaGamma, MbgNbd, Memories};
use crate::engine::{Model, Parameters};
use crate::rules::{Churn, ChurnModel};

/// The sections of the file, one for each model.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParametersFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mbg_nbd: Option<MbgNbdSection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gamma_gamma: Option<GammaGammaSection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fgp: Option<FgpSection>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MbgNbdSection {
    pub r: f64,
    pub alpha_days: f64,
    pub a: f64,
    pub b: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GammaGammaSection {
    pub p: f64,
    pub q: f64,
    pub v: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FgpSection {
    pub r: f64,
    pub alpha_days: f64,
    pub tau_days: f64,
}

impl From<MbgNbdSection> for MbgNbd {
    fn from(MbgNbdSection { r, alpha_days, a, b }: MbgNbdSection) -> Self {
        Self { r, alpha_days, a, b }
    }
}

impl From<GammaGammaSection> for GammaGamma {
    fn from(GammaGammaSection { p, q, v }: GammaGammaSection) -> Self {
        Self { p, q, v }
    }
}

impl From<FgpSection> for Fgp {
    fn from(FgpSection { r, alpha_days, tau_days }: FgpSection) -> Self {
        Self { r, alpha_days, tau_days }
    }
}

/// Reads a file of parameters.
///
/// # Errors
/// A file that cannot be read, is no TOML, has unknown or missing keys, or numbers outside the bounds of the models.
pub fn read(path: &Path) -> Result<ParametersFile, Failure> {
    let name = path.display();
    let wrong = |problem: String| Failure::Configuration(format!("{name}: {problem}"));
    let text = std::fs::read_to_string(path)
        .map_err(|error| wrong(format!("cannot be read ({error}); check the path given with --params")))?;
    let file: ParametersFile = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        wrong(format!("line {line}: {}; write it as `cohortd fit` does", error.message()))
    })?;
    let sound = [
        ("mbg_nbd", file.mbg_nbd.is_none_or(|section| MbgNbd::from(section).is_sound())),
        ("gamma_gamma", file.gamma_gamma.is_none_or(|section| GammaGamma::from(section).is_sound())),
        ("fgp", file.fgp.is_none_or(|section| Fgp::from(section).is_sound())),
    ];
    match sound.iter().find(|(_, sound)| !sound) {
        Some((section, _)) => Err(wrong(format!("[{section}] has a number out of bounds; fit it again"))),
        None => Ok(file),
    }
}

impl ParametersFile {
    /// The parameters for a model that rules ask for, by the file's name.
    ///
    /// # Errors
    /// The section of that model is missing, or its memory is none that is kept.
    pub fn for_rules(&self, churn: &Churn, path: &Path) -> Result<Parameters, Failure> {
        let wrong = |problem: String| Failure::Configuration(format!("{}: {problem}", path.display()));
        let model = match churn.model {
            ChurnModel::Purchases => {
                let missing = || wrong("there is no [mbg_nbd], which the rules' model of purchases needs".into());
                let transactions = self.mbg_nbd.ok_or_else(missing)?.into();
                Model::Purchases { transactions, amounts: self.gamma_gamma.map(GammaGamma::from) }
            }
            ChurnModel::Usage => {
                let missing = || wrong("there is no [fgp], which the rules' model of usage needs".into());
                let model = Fgp::from(self.fgp.ok_or_else(missing)?);
                let memories = Memories::default();
                if !memories.days().contains(&model.tau_days) {
                    let kept: Vec<String> = memories.days().iter().map(ToString::to_string).collect();
                    return Err(wrong(format!("[fgp] tau_days must be one of {}", kept.join(", "))));
                }
                Model::Usage(model)
            }
        };
        Ok(Parameters { version: 1, model, recalibration: None, provisional: false })
    }
}
