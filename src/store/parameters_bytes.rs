//! The parameters of the model of churn as bytes: in META and as a recorded input.
//!
//! ```text
//! version │ flags │ model, its parameters 8 each │ [amounts, 8 each] │ [correction, 8 each]
//! ```

use crate::bytes::{Corrupt, Read, Reader, put_u64};
use crate::churn::{Fgp, GammaGamma, MbgNbd, Recalibration};
use crate::engine::{Model, Parameters};

const PROVISIONAL: u8 = 1;
const USAGE: u8 = 2;
const HAS_AMOUNTS: u8 = 4;
const IS_CORRECTED: u8 = 8;

pub(super) fn put_parameters(out: &mut Vec<u8>, parameters: &Parameters) {
    put_u64(out, u64::from(parameters.version));
    let amounts = match parameters.model {
        Model::Purchases { amounts, .. } => amounts,
        Model::Usage(_) => None,
    };
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.push(
        flag(parameters.provisional, PROVISIONAL)
            | flag(matches!(parameters.model, Model::Usage(_)), USAGE)
            | flag(amounts.is_some(), HAS_AMOUNTS)
            | flag(parameters.recalibration.is_some(), IS_CORRECTED),
    );
    match parameters.model {
        Model::Purchases { transactions: MbgNbd { r, alpha_days, a, b }, .. } => {
            put_doubles(out, &[r, alpha_days, a, b])
        }
        Model::Usage(Fgp { r, alpha_days, tau_days }) => put_doubles(out, &[r, alpha_days, tau_days]),
    }
    if let Some(GammaGamma { p, q, v }) = amounts {
        put_doubles(out, &[p, q, v]);
    }
    if let Some(Recalibration { weights }) = parameters.recalibration {
        put_doubles(out, &weights);
    }
}

pub(super) fn read_parameters(reader: &mut Reader<'_>) -> Read<Parameters> {
    let version = reader.u32("version of parameters")?;
    let flags = reader.u8("flags of parameters")?;
    let model = if flags & USAGE != 0 {
        let [r, alpha_days, tau_days] = doubles(reader)?;
        let model = Fgp { r, alpha_days, tau_days };
        model.is_sound().then_some(Model::Usage(model))
    } else {
        let [r, alpha_days, a, b] = doubles(reader)?;
        let transactions = MbgNbd { r, alpha_days, a, b };
        let amounts = match flags & HAS_AMOUNTS {
            0 => None,
            _ => {
                let [p, q, v] = doubles(reader)?;
                Some(GammaGamma { p, q, v })
            }
        };
        let sound = transactions.is_sound() && amounts.as_ref().is_none_or(GammaGamma::is_sound);
        sound.then_some(Model::Purchases { transactions, amounts })
    };
    let recalibration = match flags & IS_CORRECTED {
        0 => None,
        _ => Some(Recalibration { weights: doubles(reader)? }),
    };
    let model = model.ok_or(Corrupt("parameters out of bounds"))?;
    Ok(Parameters { version, model, recalibration, provisional: flags & PROVISIONAL != 0 })
}

fn put_doubles(out: &mut Vec<u8>, doubles: &[f64]) {
    doubles.iter().for_each(|double| out.extend_from_slice(&double.to_bits().to_le_bytes()));
}

fn doubles<const N: usize>(reader: &mut Reader<'_>) -> Read<[f64; N]> {
    let mut found = [0.0; N];
    for double in &mut found {
        *double = f64::from_bits(u64::from_le_bytes(reader.array("parameters")?));
        if !double.is_finite() {
            return Err(Corrupt("parameters out of bounds"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{Reader, put_parameters, read_parameters};
    use crate::churn::{Fgp, GammaGamma, MbgNbd, Recalibration};
    use crate::engine::{Model, Parameters};

    #[test]
    fn parameters_are_read_to_the_last_bit_as_they_were_written() {
        let transactions = MbgNbd { r: 0.524_843, alpha_days: 43.281_59, a: 0.891_360, b: 1.614_003 };
        let amounts = Some(GammaGamma { p: 6.25, q: 3.74, v: 15.44 });
        let weights = [0.1, 0.5, 0.2, -0.6, 0.05];
        let models = [
            Model::Purchases { transactions, amounts },
            Model::Purchases { transactions, amounts: None },
            Model::Usage(Fgp { r: 0.05, alpha_days: 5.0, tau_days: 30.0 }),
        ];
        for (model, version) in models.into_iter().zip(1..) {
            for recalibration in [None, Some(Recalibration { weights })] {
                let parameters = Parameters { version, model, recalibration, provisional: version == 2 };
                let mut bytes = Vec::new();
                put_parameters(&mut bytes, &parameters);
                assert_eq!(read_parameters(&mut Reader::new(&bytes)), Ok(parameters));
                bytes.pop();
                assert!(read_parameters(&mut Reader::new(&bytes)).is_err());
            }
        }
    }

    #[test]
    fn what_no_model_takes_is_refused() {
        let transactions = MbgNbd { r: -1.0, alpha_days: 43.0, a: 0.9, b: 1.6 };
        let model = Model::Purchases { transactions, amounts: None };
        let mut bytes = Vec::new();
        put_parameters(&mut bytes, &Parameters { version: 1, model, recalibration: None, provisional: false });
        assert!(read_parameters(&mut Reader::new(&bytes)).is_err());
    }
}
