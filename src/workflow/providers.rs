//! Whether an execution provider works with a backbone, gives the CPU's features, and how fast it is.

use std::collections::BTreeMap;
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use super::WorkflowError;
use crate::backbone::provider::Provider;
use crate::backbone::session::{self, GraphSession};
use crate::backbone::{Backbone, BackboneError};
use crate::image::spec::{ChannelOrder, TensorLayout};
use crate::progress::{CancelGuard, CancelToken, Reporter};
use crate::rng::SplitMix64;

/// Largest difference of a feature from the CPU's that passes, as a share of the CPU's feature, or of one that only the
/// largest hundredth exceeds where that is more.
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
    /// Largest difference of a feature from the CPU's, as [`MAX_DIFFERENCE`] measures it; infinite where a feature is no
    /// number.
    pub max_abs_difference: Option<f64>,
    /// Why it did not pass, as a sentence without its full stop.
    pub failure: Option<String>,
    /// Whether it can be used.
    pub passed: bool,
}

/// What runs a backbone's feature graph: a session, or what stands for one in a test.
pub trait Runner {
    /// What it runs on.
    fn provider(&self) -> Provider;

    /// The features of `n` images, whose values have the shape `dims`.
    ///
    /// # Errors
    /// When the run fails.
    fn features(
        &mut self,
        backbone: &Backbone,
        dims: &[usize],
        values: Vec<f32>,
        n: usize,
    ) -> Result<Vec<f32>, BackboneError>;
}

/// A session of ONNX Runtime, with what ends its runs when the user cancels.
struct Ended {
    session: GraphSession,
    _end: CancelGuard,
}

impl Runner for Ended {
    fn provider(&self) -> Provider {
        self.session.provider()
    }

    fn features(
        &mut self,
        backbone: &Backbone,
        dims: &[usize],
        values: Vec<f32>,
        n: usize,
    ) -> Result<Vec<f32>, BackboneError> {
        backbone.run_features(&mut self.session, dims, values, n)
    }
}

/// Opens a graph (its bytes) on so many threads and a provider.
pub type Opener<'a> = &'a dyn Fn(&[u8], usize, Provider, &CancelToken) -> Result<Box<dyn Runner>, BackboneError>;

/// Sessions of ONNX Runtime, whose runs end when the token is cancelled.
fn sessions(
    model: &[u8],
    n_threads: usize,
    provider: Provider,
    cancel: &CancelToken,
) -> Result<Box<dyn Runner>, BackboneError> {
    let session = GraphSession::load(model, n_threads, provider)?;
    let end = session.end_on_cancel(cancel);
    Ok(Box::new(Ended { session, _end: end }))
}

/// Runs the backbone on pictures of noise, on `provider` and on the CPU, and compares. What does not work is said in the
/// result, a missing provider too.
///
/// # Errors
/// When the user cancels.
pub fn self_test(backbone: &Backbone, provider: Provider, reporter: &dyn Reporter) -> Result<SelfTest, WorkflowError> {
    self_test_with(backbone, provider, reporter, &sessions)
}

/// As [`self_test`], with sessions of `open`.
///
/// # Errors
/// As there.
pub fn self_test_with(
    backbone: &Backbone,
    provider: Provider,
    reporter: &dyn Reporter,
    open: Opener<'_>,
) -> Result<SelfTest, WorkflowError> {
    let mut found = SelfTest {
        requested: provider,
        ran_on: None,
        images_per_sec: None,
        max_abs_difference: None,
        failure: None,
        passed: false,
    };
    let failure = match run(backbone, provider, reporter, open, &mut found) {
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
    open: Opener<'_>,
    found: &mut SelfTest,
) -> Result<(), BackboneError> {
    let n_images = n_images(backbone);
    let dims = backbone.input_dims(n_images);
    let values = noise(backbone, &dims);
    let model = backbone.feature_model()?;
    let cancel = reporter.cancel_token();
    let mut session = open(&model, n_threads(), provider, cancel)?;
    // The first run also plans and uploads.
    let features = session.features(backbone, &dims, values.clone(), n_images)?;
    found.ran_on = Some(session.provider());
    found.images_per_sec = Some(rate(backbone, &mut *session, &dims, &values, n_images)?);
    drop(session);
    let mut cpu = open(&model, n_threads(), Provider::Cpu, cancel)?;
    let expected = cpu.features(backbone, &dims, values, n_images)?;
    found.max_abs_difference = Some(difference(backbone, &expected, &features));
    Ok(())
}

fn n_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn n_images(backbone: &Backbone) -> usize {
    backbone.fixed_batch().unwrap_or(if backbone.is_batch_dependent() { 1 } else { N_IMAGES })
}

fn rate(
    backbone: &Backbone,
    session: &mut dyn Runner,
    dims: &[usize],
    values: &[f32],
    n_images: usize,
) -> Result<f64, BackboneError> {
    // The fastest run: what else the machine does makes runs slower, never faster.
    let started = Instant::now();
    let (mut n_runs, mut fastest) = (0, f64::INFINITY);
    while n_runs == 0 || (n_runs < MAX_RUNS && started.elapsed() < MEASURED) {
        let run = Instant::now();
        session.features(backbone, dims, values.to_vec(), n_images)?;
        fastest = fastest.min(run.elapsed().as_secs_f64());
        n_runs += 1;
    }
    Ok(n_images as f64 / fastest.max(1e-9))
}

/// What a backbone runs on where `requested` is wanted: a provider that has shown, on two pictures of noise, that it gives
/// the CPU's features. Instead of one that cannot or does not, [`Provider::Auto`] takes the CPU, with a word.
///
/// # Errors
/// When the one that was asked for by name cannot be used, or gives other features.
pub fn settle(backbone: &Backbone, requested: Provider, reporter: &dyn Reporter) -> Result<Provider, BackboneError> {
    if requested == Provider::Cpu {
        return Ok(Provider::Cpu);
    }
    let found = session::usable(requested)?;
    if requested == Provider::Auto {
        /// Said once: work comes in many pieces.
        static SAID: Once = Once::new();
        let broken = session::passed_over().iter().find_map(|(provider, why)| why_passed_over(*provider, why, found));
        if let Some(text) = broken {
            SAID.call_once(|| reporter.warn(&text));
        }
    }
    settle_with(backbone, requested, found, reporter, &sessions)
}

/// What is to be said of a provider that is passed over: nothing where it is not there, since few have one.
fn why_passed_over(provider: Provider, why: &str, instead: Provider) -> Option<String> {
    let said = match missing_file(why) {
        _ if is_absent(why) => return None,
        Some(file) => format!("{file} is missing or broken"),
        None => why.to_owned(),
    };
    Some(not_used(provider, &said, instead))
}

/// As [`settle`], where `requested` has come to `found`, with sessions of `open`.
///
/// # Errors
/// As there.
pub fn settle_with(
    backbone: &Backbone,
    requested: Provider,
    found: Provider,
    reporter: &dyn Reporter,
    open: Opener<'_>,
) -> Result<Provider, BackboneError> {
    /// What was found out in this run of the program.
    static KNOWN: Mutex<BTreeMap<(String, Provider, u32), Option<String>>> = Mutex::new(BTreeMap::new());
    if found == Provider::Cpu {
        return Ok(Provider::Cpu);
    }
    let key = (backbone.space.key(), found, session::device());
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
    let failure = match known {
        Some(failure) => failure,
        None => {
            let failure = match quick_check(backbone, found, reporter, open) {
                Ok(difference) => disagreement(difference),
                Err(error) if reporter.cancelled() => return Err(error),
                // What could not run now may run later, when there is more memory.
                Err(error) => return refused(requested, found, error.to_string(), reporter),
            };
            KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(key, failure.clone());
            failure
        }
    };
    match failure {
        None => Ok(found),
        Some(why) => refused(requested, found, why, reporter),
    }
}

/// What follows where a provider is not to be used.
fn refused(
    requested: Provider,
    found: Provider,
    why: String,
    reporter: &dyn Reporter,
) -> Result<Provider, BackboneError> {
    if requested != Provider::Auto {
        return Err(BackboneError::Provider { provider: found, reason: why });
    }
    reporter.warn(&not_used(found, &why, Provider::Cpu));
    Ok(Provider::Cpu)
}

fn not_used(provider: Provider, why: &str, instead: Provider) -> String {
    let instead = if instead == Provider::Cpu { "The CPU" } else { instead.label() };
    format!("{} is not used: {why}. {instead} is used instead.", provider.label())
}

fn quick_check(
    backbone: &Backbone,
    provider: Provider,
    reporter: &dyn Reporter,
    open: Opener<'_>,
) -> Result<f64, BackboneError> {
    let n_images = backbone.fixed_batch().unwrap_or(if backbone.is_batch_dependent() { 1 } else { 2 });
    let dims = backbone.input_dims(n_images);
    let values = noise(backbone, &dims);
    let model = backbone.feature_model()?;
    let cancel = reporter.cancel_token();
    let found = open(&model, n_threads(), provider, cancel)?.features(backbone, &dims, values.clone(), n_images)?;
    let expected = open(&model, n_threads(), Provider::Cpu, cancel)?.features(backbone, &dims, values, n_images)?;
    Ok(difference(backbone, &expected, &found))
}

/// Images a second of the backbone alone, without reading and decoding, on all cores or on what `provider` comes to.
///
/// # Errors
/// When it does not run, or the user cancels.
pub fn images_per_sec(backbone: &Backbone, provider: Provider, reporter: &dyn Reporter) -> Result<f64, WorkflowError> {
    let n_images = n_images(backbone);
    let dims = backbone.input_dims(n_images);
    let values = noise(backbone, &dims);
    let measured = (|| {
        let mut session = sessions(&backbone.feature_model()?, n_threads(), provider, reporter.cancel_token())?;
        session.features(backbone, &dims, values.clone(), n_images)?;
        rate(backbone, &mut *session, &dims, &values, n_images)
    })();
    match measured {
        Err(_) if reporter.cancelled() => Err(WorkflowError::Cancelled),
        measured => Ok(measured?),
    }
}

/// What is to be said of a provider on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderReport {
    /// Which.
    pub provider: Provider,
    /// How far it gets.
    pub state: ProviderState,
    /// Its self-test, where a session could be made.
    pub test: Option<SelfTest>,
}

/// How far a provider gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderState {
    /// There is none on this system, or the ONNX Runtime at hand was built without it.
    NotThere,
    /// It is there, and something that it needs is missing or broken.
    NotUsable,
    /// It runs and gives other features than the CPU.
    Wrong,
    /// It runs and gives the CPU's features.
    Works,
}

/// Every provider with its self-test on `backbone`, the CPU first.
///
/// # Errors
/// When the model's features are no numbers on the CPU either, or the user cancels.
pub fn survey(backbone: &Backbone, reporter: &dyn Reporter) -> Result<Vec<ProviderReport>, WorkflowError> {
    survey_with(backbone, reporter, &sessions)
}

/// As [`survey`], with sessions of `open`.
///
/// # Errors
/// As there.
pub fn survey_with(
    backbone: &Backbone,
    reporter: &dyn Reporter,
    open: Opener<'_>,
) -> Result<Vec<ProviderReport>, WorkflowError> {
    // A model that gives no numbers is no provider's fault.
    let n_images = n_images(backbone);
    let dims = backbone.input_dims(n_images);
    let on_cpu = open(&backbone.feature_model()?, n_threads(), Provider::Cpu, reporter.cancel_token())
        .and_then(|mut session| session.features(backbone, &dims, noise(backbone, &dims), n_images));
    match on_cpu {
        _ if reporter.cancelled() => return Err(WorkflowError::Cancelled),
        Ok(features) if features.iter().any(|v| !v.is_finite()) => {
            return Err(BackboneError::NotNumbers { settled: String::new() }.into());
        }
        Ok(_) | Err(_) => {}
    }
    let report = |provider: Provider| {
        let test = self_test_with(backbone, provider, reporter, open)?;
        let state = match (&test.failure, test.ran_on) {
            (None, _) => ProviderState::Works,
            (Some(_), Some(_)) => ProviderState::Wrong,
            (Some(why), None) if is_absent(why) => ProviderState::NotThere,
            (Some(_), None) => ProviderState::NotUsable,
        };
        Ok(ProviderReport { provider, state, test: Some(test) })
    };
    Provider::ALL.into_iter().filter(|p| *p != Provider::Auto).map(report).collect()
}

/// Whether a refusal says that the library has no such provider, rather than that something is missing.
fn is_absent(why: &str) -> bool {
    ["not enabled in this build", "not supported in this build", "not been built", "was not compiled"]
        .iter()
        .any(|said| why.contains(said))
}

/// The file that a refusal names as missing: `libcudnn.so.9`, `cublas64_12.dll`.
pub fn missing_file(why: &str) -> Option<&str> {
    let is_library = |word: &&str| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        word.contains(".so") || word.ends_with(".dll") || word.ends_with(".dylib")
    };
    // What could not be opened comes behind what wanted it.
    let word = why.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '(' | ')' | ',')).rfind(is_library)?;
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    Some(word.rsplit(['/', '\\']).next().unwrap_or(word))
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

/// Largest difference from `expected`, as [`MAX_DIFFERENCE`] measures it, each layer of the backbone by itself; infinite where
/// anything is no number.
fn difference(backbone: &Backbone, expected: &[f32], found: &[f32]) -> f64 {
    let dims: Vec<usize> = backbone.parts().iter().map(|space| space.dim).collect();
    let width: usize = dims.iter().sum();
    let mut from = 0;
    let of_parts = dims.into_iter().map(|dim| {
        let columns = from..from + dim;
        from += dim;
        let part = |values: &[f32]| -> Vec<f32> {
            values.chunks(width.max(1)).filter_map(|row| row.get(columns.clone())).flatten().copied().collect()
        };
        part_difference(&part(expected), &part(found))
    });
    // An early layer's large values say nothing about a late layer's small ones.
    of_parts.fold(0.0, f64::max)
}

fn part_difference(expected: &[f32], found: &[f32]) -> f64 {
    let all = || expected.iter().chain(found);
    if expected.len() != found.len() || all().any(|v| !v.is_finite()) {
        return f64::INFINITY;
    }
    let mut sizes: Vec<f32> = expected.iter().map(|v| v.abs()).collect();
    sizes.sort_unstable_by(f32::total_cmp);
    let largest = f64::from(sizes.last().copied().unwrap_or(0.0));
    // Transformers have single features of hundreds: measured by those, all others could be wrong.
    let usual = sizes.get((sizes.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0.0);
    let floor = f64::from(usual).max(largest * 1e-3).max(1e-6);
    expected.iter().zip(found).fold(0.0_f64, |max, (a, b)| {
        let (a, b) = (f64::from(*a), f64::from(*b));
        max.max((a - b).abs() / a.abs().max(floor))
    })
}

fn disagreement(difference: f64) -> Option<String> {
    if difference <= MAX_DIFFERENCE {
        return None;
    }
    Some(match difference.is_finite() {
        true => format!(
            "its features differ from the CPU's by up to {:.1} %; {:.0} % is allowed",
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
        assert_eq!(disagreement(part_difference(&cpu, &cpu)), None);
        assert_eq!(disagreement(part_difference(&cpu, &[0.52, -4.01, 0.99])), None);
        assert!(disagreement(part_difference(&cpu, &[0.0; 3])).unwrap().contains("100.0 %"));
        assert!(disagreement(part_difference(&cpu, &[0.5, -4.0, 1.1])).is_some());
        assert!(disagreement(part_difference(&cpu, &[0.5, f32::NAN, 1.0])).unwrap().contains("no numbers"));
        assert!(disagreement(part_difference(&cpu, &cpu[..2])).is_some());
        assert!(disagreement(part_difference(&[0.0; 3], &cpu)).is_some());
        assert_eq!(disagreement(part_difference(&[0.0; 3], &[0.0; 3])), None);
        // One huge feature hides nothing, and may itself be rounded.
        let mut huge = vec![1.0_f32; 768];
        huge[3] = 500.0;
        let mut found = huge.clone();
        found[3] = 501.0;
        assert_eq!(disagreement(part_difference(&huge, &found)), None);
        found[5] = 0.0;
        assert!(disagreement(part_difference(&huge, &found)).is_some());
    }

    /// A graphics card that is short of memory: it gives zeros.
    struct Zeros;

    impl Runner for Zeros {
        fn provider(&self) -> Provider {
            Provider::DirectMl
        }
        fn features(&mut self, b: &Backbone, _: &[usize], _: Vec<f32>, n: usize) -> Result<Vec<f32>, BackboneError> {
            Ok(vec![0.0; n * b.space.dim])
        }
    }

    #[test]
    fn a_provider_that_gives_zeros_is_caught() {
        let open = |model: &[u8], n: usize, provider: Provider, cancel: &CancelToken| -> Result<Box<dyn Runner>, _> {
            match provider {
                Provider::DirectMl => Ok(Box::new(Zeros) as Box<dyn Runner>),
                Provider::Cuda => Err(BackboneError::Provider {
                    provider,
                    reason:
                        "Failed to load library libonnxruntime_providers_cuda.so with error: libcudnn.so.9: cannot \
                             open shared object file: No such file or directory"
                            .to_owned(),
                }),
                Provider::CoreMl => Err(BackboneError::Provider {
                    provider,
                    reason: "CoreML execution provider is not enabled in this build".to_owned(),
                }),
                provider => sessions(model, n, provider, cancel),
            }
        };
        let found = survey_with(&tiny(), &Silent::default(), &open).unwrap();
        let states: Vec<(Provider, ProviderState)> = found.iter().map(|r| (r.provider, r.state)).collect();
        use ProviderState as S;
        let wanted = [
            (Provider::Cpu, S::Works),
            (Provider::Cuda, S::NotUsable),
            (Provider::DirectMl, S::Wrong),
            (Provider::CoreMl, S::NotThere),
        ];
        assert_eq!(states, wanted);
        let why = |i: usize| found[i].test.as_ref().unwrap().failure.clone().unwrap();
        assert!(why(2).contains("100.0 %"), "{}", why(2));
        assert_eq!(missing_file(&why(1)), Some("libcudnn.so.9"));
        let said = why_passed_over(Provider::Cuda, &why(1), Provider::Cpu).unwrap();
        assert_eq!(said, "CUDA is not used: libcudnn.so.9 is missing or broken. The CPU is used instead.");
        assert_eq!(why_passed_over(Provider::CoreMl, &why(3), Provider::Cpu), None);
        assert_eq!(
            missing_file("LoadLibrary failed with error 126 \"\" when trying to load \"C:\\x\\cudnn64_9.dll\""),
            Some("cudnn64_9.dll")
        );
        assert_eq!(missing_file("nothing of the kind"), None);
    }

    #[test]
    fn auto_falls_back_from_a_provider_that_gives_zeros_and_a_named_one_does_not() {
        let open = |model: &[u8], n: usize, provider: Provider, cancel: &CancelToken| -> Result<Box<dyn Runner>, _> {
            match provider {
                Provider::Cpu => sessions(model, n, provider, cancel),
                Provider::CoreMl => Err(BackboneError::Load { message: "no such operator".into() }),
                _ => Ok(Box::new(Zeros) as Box<dyn Runner>),
            }
        };
        let settle = |requested, found| settle_with(&tiny(), requested, found, &Silent::default(), &open);
        assert_eq!(settle(Provider::Auto, Provider::DirectMl).unwrap(), Provider::Cpu);
        assert_eq!(settle(Provider::Auto, Provider::CoreMl).unwrap(), Provider::Cpu);
        assert_eq!(settle(Provider::Auto, Provider::Cpu).unwrap(), Provider::Cpu);
        let error = settle(Provider::DirectMl, Provider::DirectMl).unwrap_err();
        assert!(error.to_string().contains("differ from the CPU"), "{error}");
    }

    #[test]
    fn a_fixed_batch_changes_nothing() {
        let (own, fixed) = (tiny(), tiny().fixed_to(4));
        assert_eq!((own.fixed_batch(), fixed.fixed_batch()), (None, Some(4)));
        let dims = own.input_dims(3);
        let values = noise(&own, &dims);
        let run = |backbone: &Backbone| {
            let mut session = GraphSession::load(&backbone.feature_model().unwrap(), 1, Provider::Cpu).unwrap();
            backbone.run_features(&mut session, &dims, values.clone(), 3).unwrap()
        };
        assert!(difference(&own, &run(&own), &run(&fixed)) < 1e-5);
    }

    #[test]
    fn a_cancelled_test_ends() {
        let reporter = Silent::default();
        reporter.cancel_token().cancel();
        let found = self_test(&tiny(), Provider::Cpu, &reporter);
        assert!(matches!(found, Err(WorkflowError::Cancelled)), "{found:?}");
    }
}
