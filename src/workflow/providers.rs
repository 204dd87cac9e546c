//! Whether an execution provider works with a backbone, gives the CPU's features, and how fast it is.

use std::time::{Duration, Instant};

use super::WorkflowError;
use crate::backbone::provider::Provider;
use crate::backbone::session::GraphSession;
use crate::backbone::{Backbone, BackboneError};
use crate::image::spec::{ChannelOrder, TensorLayout};
use crate::progress::Reporter;
use crate::rng::SplitMix64;

/// Largest difference of a feature from the CPU's that passes, as a share of the CPU's largest feature.
pub const MAX_DIFFERENCE: f64 = 1e-2;

/// Images of the batch that is run.
const N_IMAGES: usize = 8;
/// Time that runs are measured for, and the most and fewest of them.
const MEASURED: Duration = Duration::from_millis(800);
const MAX_RUNS: usize = 50;
/// Seed of the pictures.
const SEED: u64 = 7;

/// What a self-test found.
#[derive(Clone, Debug, PartialEq)]
pub struct SelfTest {
    /// What was asked for.
    pub requested: Provider,
    /// What the backbone did run on (never [`Provider::Auto`]); `None` where it did not run.
    pub ran_on: Option<Provider>,
    /// Speed of the backbone alone, without reading and decoding.
    pub images_per_sec: Option<f64>,
    /// Largest absolute difference of a feature from the CPU's, as a share of the CPU's largest feature; infinite where a
    /// feature is no number.
    pub max_abs_difference: Option<f64>,
    /// Why it did not pass, as a sentence without its full stop.
    pub failure: Option<String>,
    /// Whether it can be used.
    pub passed: bool,
}

/// Runs the backbone on pictures of noise, on `provider` and on the CPU, and compares. What does not work is said in the
/// result, a missing provider too.
///
/// # Errors
/// When the user cancels.
pub fn self_test(backbone: &Backbone, provider: Provider, reporter: &dyn Reporter) -> Result<SelfTest, WorkflowError> {
    let mut found = SelfTest {
        requested: provider,
        ran_on: None,
        images_per_sec: None,
        max_abs_difference: None,
        failure: None,
        passed: false,
    };
    let failure = match run(backbone, provider, reporter, &mut found) {
        Err(_) if reporter.cancelled() => return Err(WorkflowError::Cancelled),
        Err(error) => Some(error.to_string()),
        Ok(()) => found.max_abs_difference.and_then(disagreement),
    };
    found.passed = failure.is_none();
    found.failure = failure;
    Ok(found)
}

fn run(
    backbone: &Backbone,
    provider: Provider,
    reporter: &dyn Reporter,
    found: &mut SelfTest,
) -> Result<(), BackboneError> {
    let n_images = backbone.fixed_batch().unwrap_or(N_IMAGES);
    let dims = backbone.input_dims(n_images);
    let values = noise(backbone, &dims);
    let model = backbone.feature_model()?;
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut session = GraphSession::load(&model, n_threads, provider)?;
    let _end = session.end_on_cancel(reporter.cancel_token());
    // The first run also plans and uploads.
    let features = backbone.run_features(&mut session, &dims, values.clone(), n_images)?;
    found.ran_on = Some(session.provider());
    let started = Instant::now();
    let mut n_runs = 0;
    while n_runs == 0 || (n_runs < MAX_RUNS && started.elapsed() < MEASURED) {
        backbone.run_features(&mut session, &dims, values.clone(), n_images)?;
        n_runs += 1;
    }
    found.images_per_sec = Some((n_runs * n_images) as f64 / started.elapsed().as_secs_f64());
    drop(session);
    let mut cpu = GraphSession::load(&model, n_threads, Provider::Cpu)?;
    let _end = cpu.end_on_cancel(reporter.cancel_token());
    let expected = backbone.run_features(&mut cpu, &dims, values, n_images)?;
    found.max_abs_difference = Some(difference(&expected, &features));
    Ok(())
}

/// Pictures of noise as the backbone takes them: evenly drawn bytes, scaled by its own preprocessing.
fn noise(backbone: &Backbone, dims: &[usize]) -> Vec<f32> {
    let spec = backbone.preprocess();
    let n_pixels: usize = match spec.layout {
        TensorLayout::Nchw => dims.iter().skip(2).product(),
        TensorLayout::Nhwc => 1,
    };
    let mut rng = SplitMix64::new(SEED);
    let value = |i: usize| {
        let place = i / n_pixels.max(1) % 3;
        let channel = if spec.channels == ChannelOrder::Bgr { 2 - place } else { place };
        (rng.below(256) as f32 * spec.rescale - spec.mean[channel]) / spec.std[channel]
    };
    (0..dims.iter().product()).map(value).collect()
}

/// Largest absolute difference from `expected`, as a share of its largest value; infinite where anything is no number.
fn difference(expected: &[f32], found: &[f32]) -> f64 {
    let all = || expected.iter().chain(found);
    if expected.len() != found.len() || all().any(|v| !v.is_finite()) {
        return f64::INFINITY;
    }
    let largest = expected.iter().fold(0.0_f64, |max, v| max.max(f64::from(v.abs())));
    let farthest =
        expected.iter().zip(found).fold(0.0_f64, |max, (a, b)| max.max((f64::from(*a) - f64::from(*b)).abs()));
    if farthest == 0.0 { 0.0 } else { farthest / largest }
}

fn disagreement(difference: f64) -> Option<String> {
    if difference <= MAX_DIFFERENCE {
        return None;
    }
    Some(match difference.is_finite() {
        true => format!(
            "its features differ from the CPU's by up to {:.1} % of the largest; {:.0} % is allowed",
            difference * 100.0,
            MAX_DIFFERENCE * 100.0
        ),
        false => "it gives features that are no numbers".to_owned(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::progress::Silent;

    fn tiny() -> Backbone {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx/tiny_cnn");
        Backbone::open(&path, None, |_| None).unwrap()
    }

    #[test]
    fn the_cpu_passes_and_auto_finds_something() {
        let found = self_test(&tiny(), Provider::Cpu, &Silent::default()).unwrap();
        assert!(found.passed && found.failure.is_none(), "{found:?}");
        assert_eq!((found.ran_on, found.max_abs_difference), (Some(Provider::Cpu), Some(0.0)));
        assert!(found.images_per_sec.unwrap() > 0.0);
        let auto = self_test(&tiny(), Provider::Auto, &Silent::default()).unwrap();
        assert!(auto.passed && auto.ran_on.is_some_and(|p| p != Provider::Auto), "{auto:?}");
    }

    #[test]
    fn a_provider_that_is_not_there_says_why() {
        // No system has both.
        for provider in [Provider::DirectMl, Provider::CoreMl, Provider::Cuda] {
            let found = self_test(&tiny(), provider, &Silent::default()).unwrap();
            if found.passed {
                assert_eq!(found.ran_on, Some(provider));
                continue;
            }
            let failure = found.failure.unwrap();
            assert!(failure.contains(provider.label()) && !failure.contains('\n'), "{failure}");
            assert_eq!((found.ran_on, found.images_per_sec), (None, None));
        }
        let missing = if cfg!(windows) { Provider::CoreMl } else { Provider::DirectMl };
        let error = GraphSession::load(&tiny().feature_model().unwrap(), 1, missing).unwrap_err();
        assert!(matches!(error, BackboneError::Provider { provider, .. } if provider == missing), "{error}");
    }

    #[test]
    fn wrong_features_do_not_pass() {
        let cpu = [0.5_f32, -4.0, 1.0];
        assert_eq!(disagreement(difference(&cpu, &cpu)), None);
        assert_eq!(disagreement(difference(&cpu, &[0.52, -4.01, 0.99])), None);
        assert!(disagreement(difference(&cpu, &[0.0; 3])).unwrap().contains("100.0 %"));
        assert!(disagreement(difference(&cpu, &[0.5, -4.0, 1.1])).is_some());
        assert!(disagreement(difference(&cpu, &[0.5, f32::NAN, 1.0])).unwrap().contains("no numbers"));
        assert!(disagreement(difference(&cpu, &cpu[..2])).is_some());
        assert!(disagreement(difference(&[0.0; 3], &cpu)).is_some());
        assert_eq!(disagreement(difference(&[0.0; 3], &[0.0; 3])), None);
    }

    #[test]
    fn a_cancelled_test_ends() {
        let reporter = Silent::default();
        reporter.cancel_token().cancel();
        let found = self_test(&tiny(), Provider::Cpu, &reporter);
        assert!(matches!(found, Err(WorkflowError::Cancelled)), "{found:?}");
    }
}
