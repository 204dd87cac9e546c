//! Running graphs. With its neighbour `runtime`, the only place that names `ort`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use ort::ep::{self, ExecutionProvider};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{NoSelectedOutputs, RunOptions, Session, SessionInputValue};
use ort::value::{DynValue, Tensor, TensorElementType, ValueType};

use super::manifest::{Element, Port};
use super::provider::Provider;
use super::{BackboneError, runtime};
use crate::progress::{CancelGuard, CancelToken};

/// A loaded graph with one image input.
pub struct GraphSession {
    session: Session,
    provider: Provider,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    options: Arc<RunOptions<NoSelectedOutputs>>,
}

impl std::fmt::Debug for GraphSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GraphSession")
            .field("provider", &self.provider)
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .finish()
    }
}

/// What goes into a graph, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Numbers, converted to the input's element type.
    F32(Vec<f32>),
    /// Bytes, for an input that takes bytes.
    U8(Vec<u8>),
    /// Whole numbers, such as tokens, converted to the input's element type.
    I64(Vec<i64>),
}

/// What goes into one input of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed<'a> {
    /// The input's name.
    pub input: &'a str,
    /// Dimensions.
    pub dims: Vec<usize>,
    /// Values of that many elements.
    pub values: Values,
}

/// An output: its dimensions and its values as f32, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Dimensions.
    pub dims: Vec<usize>,
    /// Values.
    pub values: Vec<f32>,
}

impl GraphSession {
    /// Loads a graph from its bytes (external data already inlined), for runs on `n_threads` threads where the CPU
    /// takes part. [`Provider::Auto`] falls back to the CPU.
    ///
    /// # Errors
    /// When ONNX Runtime is missing or refuses the graph, or the provider asked for does not work here.
    pub fn load(model: &[u8], n_threads: usize, provider: Provider) -> Result<Self, BackboneError> {
        if provider != Provider::Auto {
            return Self::load_on(model, n_threads, provider);
        }
        match usable(Provider::Auto)? {
            Provider::Cpu => Self::load_on(model, n_threads, Provider::Cpu),
            found => Self::load_on(model, n_threads, found).or_else(|error| {
                tracing::warn!(%error, "the CPU is used instead");
                Self::load_on(model, n_threads, Provider::Cpu)
            }),
        }
    }

    fn load_on(model: &[u8], n_threads: usize, provider: Provider) -> Result<Self, BackboneError> {
        let environment = runtime::ensure_loaded(None)?.environment();
        let refused = |e: ort::Error| match provider {
            Provider::Cpu => BackboneError::Load { message: one_line(&e.to_string()) },
            provider => BackboneError::Provider { provider, reason: reason(&e.to_string()) },
        };
        let session = (|| -> ort::Result<Session> {
            let mut builder = Session::builder(environment)?
                .with_optimization_level(GraphOptimizationLevel::Level3)?
                .with_intra_threads(n_threads.max(1))?
                .with_inter_threads(1)?
                // Spinning threads would take the decoders' cores while a session waits for its next batch.
                .with_intra_op_spinning(false)?
                .with_inter_op_spinning(false)?;
            if provider == Provider::DirectMl {
                // DirectML's own conditions.
                builder = builder.with_memory_pattern(false)?.with_parallel_execution(false)?;
            }
            register(&mut builder, provider)?;
            builder.commit_from_memory(model)
        })()
        .map_err(refused)?;
        let inputs = session.inputs().iter().map(|o| port(o.name(), o.dtype())).collect();
        let outputs = session.outputs().iter().map(|o| port(o.name(), o.dtype())).collect();
        let options = RunOptions::new().map_err(refused)?;
        Ok(Self { session, provider, inputs, outputs, options: Arc::new(options) })
    }

    /// What it runs on; never [`Provider::Auto`].
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// Inputs, in the graph's order.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// Outputs, in the graph's order.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Ends the run in flight (and every later one) when the token is cancelled, at the next operator.
    pub fn end_on_cancel(&self, token: &CancelToken) -> CancelGuard {
        let options = Arc::clone(&self.options);
        token.on_cancel(move || {
            if let Err(error) = options.terminate() {
                tracing::warn!(%error, "a run could not be ended");
            }
        })
    }

    /// Makes the session run again after its runs were ended.
    ///
    /// # Errors
    /// When ONNX Runtime has no memory for it.
    pub fn go_on(&mut self) -> Result<(), BackboneError> {
        let options = RunOptions::new().map_err(|e| BackboneError::Run { message: one_line(&e.to_string()) })?;
        self.options = Arc::new(options);
        Ok(())
    }

    /// Feeds `values` (row-major, of shape `dims`) to the first input, converted to its element type, and returns the
    /// outputs named, converted to f32.
    ///
    /// # Errors
    /// When the run fails or is ended, or an output has another element type than a number's.
    pub fn run(&mut self, dims: &[usize], values: Values, outputs: &[&str]) -> Result<Vec<Output>, BackboneError> {
        let Some(input) = self.inputs.first() else {
            return Err(BackboneError::NoImageInput { inputs: String::new() });
        };
        let name = input.name.clone();
        self.run_feeds(vec![Feed { input: &name, dims: dims.to_vec(), values }], outputs)
    }

    /// As [`Self::run`], for what only the outputs' dimensions are wanted of; they may be of any element type.
    ///
    /// # Errors
    /// When the run fails or is ended.
    pub fn run_shapes(
        &mut self,
        dims: &[usize],
        values: Values,
        outputs: &[String],
    ) -> Result<Vec<Vec<usize>>, BackboneError> {
        let failed = |e: ort::Error| BackboneError::Run { message: one_line(&e.to_string()) };
        let Some(input) = self.inputs.first() else {
            return Err(BackboneError::NoImageInput { inputs: String::new() });
        };
        let value = tensor(input.element, dims, values).map_err(failed)?;
        let feed = vec![(input.name.clone(), SessionInputValue::from(value))];
        let results = self.session.run_with_options(feed, &*self.options).map_err(failed)?;
        let shape_of = |name: &String| {
            let missing = || BackboneError::Run { message: format!("there is no output {name}") };
            let value = results.get(name.as_str()).ok_or_else(missing)?;
            let (_, extents) = value.try_extract_tensor::<i64>().map_err(failed)?;
            Ok(extents.iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect())
        };
        outputs.iter().map(shape_of).collect()
    }

    /// As [`Self::run`], for graphs with several inputs.
    ///
    /// # Errors
    /// As [`Self::run`], and when there is no such input.
    pub fn run_feeds(&mut self, feeds: Vec<Feed<'_>>, outputs: &[&str]) -> Result<Vec<Output>, BackboneError> {
        let failed = |e: ort::Error| BackboneError::Run { message: one_line(&e.to_string()) };
        let mut feed = Vec::with_capacity(feeds.len());
        for Feed { input, dims, values } in feeds {
            let missing = || BackboneError::Run { message: format!("there is no input {input}") };
            let port = self.inputs.iter().find(|port| port.name == input).ok_or_else(missing)?;
            let value = tensor(port.element, &dims, values).map_err(failed)?;
            feed.push((port.name.clone(), SessionInputValue::from(value)));
        }
        let mut results = self.session.run_with_options(feed, &*self.options).map_err(failed)?;
        outputs
            .iter()
            .map(|name| {
                let value = results
                    .remove(*name)
                    .ok_or_else(|| BackboneError::Run { message: format!("there is no output {name}") })?;
                to_f32(&value).map_err(failed)
            })
            .collect()
    }
}

/// What `provider` comes to on this machine, before any graph is loaded: itself where it can be registered, for
/// [`Provider::Auto`] the first candidate that can be, or the CPU.
///
/// # Errors
/// When ONNX Runtime is missing, or the provider asked for does not work here.
pub fn usable(provider: Provider) -> Result<Provider, BackboneError> {
    let environment = runtime::ensure_loaded(None)?.environment();
    let try_one = |provider: Provider| {
        let registered = Session::builder(environment).and_then(|mut builder| register(&mut builder, provider));
        registered.map_err(|e| BackboneError::Provider { provider, reason: reason(&e.to_string()) })
    };
    if provider != Provider::Auto {
        return try_one(provider).map(|()| provider);
    }
    let found = AUTO.get_or_init(|| {
        let mut passed_over = Vec::new();
        let works = |candidate: &Provider| match try_one(*candidate) {
            Ok(()) => true,
            Err(error) => {
                passed_over.push((*candidate, error.to_string()));
                false
            }
        };
        (Provider::candidates().iter().copied().find(works).unwrap_or(Provider::Cpu), passed_over)
    });
    Ok(found.0)
}

/// What [`Provider::Auto`] has come to in this run of the program, and the better ones that could not be registered, with the
/// reason.
static AUTO: OnceLock<(Provider, Vec<(Provider, String)>)> = OnceLock::new();

/// Providers that [`Provider::Auto`] would rather have, and why they cannot be used; none before it was asked for.
pub fn passed_over() -> &'static [(Provider, String)] {
    AUTO.get().map_or(&[], |(_, passed_over)| passed_over)
}

/// The card that [`set_device`] chose.
static DEVICE: AtomicU32 = AtomicU32::new(0);

/// Chooses which card sessions made from now on run on, counted from 0, where there are several.
pub fn set_device(id: u32) {
    DEVICE.store(id, Ordering::Relaxed);
}

/// The card that sessions run on.
pub fn device() -> u32 {
    DEVICE.load(Ordering::Relaxed)
}

/// Puts a provider before the CPU, which runs what the provider cannot.
fn register(builder: &mut SessionBuilder, provider: Provider) -> ort::Result<()> {
    let device = i32::try_from(device()).unwrap_or(0);
    match provider {
        Provider::Auto | Provider::Cpu => Ok(()),
        // All in full precision: features go into one cache, and exports are checked on the CPU.
        Provider::Cuda => ep::CUDA::default().with_device_id(device).with_tf32(false).register(builder),
        Provider::DirectMl => ep::DirectML::default().with_device_id(device).register(builder),
        Provider::CoreMl => ep::CoreML::default()
            .with_model_format(ep::coreml::ModelFormat::MLProgram)
            .with_compute_units(ep::coreml::ComputeUnits::CPUAndGPU)
            .register(builder),
    }
}

fn tensor(element: Element, dims: &[usize], values: Values) -> ort::Result<DynValue> {
    let dims = dims.to_vec();
    let values = match values {
        Values::U8(bytes) => return Ok(Tensor::from_array((dims, bytes))?.into_dyn()),
        Values::I64(values) => match element {
            Element::I64 => return Ok(Tensor::from_array((dims, values))?.into_dyn()),
            // Vocabularies are far smaller than what 32 bits hold.
            Element::I32 => {
                let values: Vec<i32> = values.into_iter().map(|v| v as i32).collect();
                return Ok(Tensor::from_array((dims, values))?.into_dyn());
            }
            _ => values.into_iter().map(|v| v as f32).collect(),
        },
        Values::F32(values) => values,
    };
    Ok(match element {
        Element::F16 => {
            Tensor::from_array((dims, values.into_iter().map(half::f16::from_f32).collect::<Vec<_>>()))?.into_dyn()
        }
        Element::U8 => {
            // `as` saturates, which is what a byte input wants.
            Tensor::from_array((dims, values.into_iter().map(|v| v.round() as u8).collect::<Vec<_>>()))?.into_dyn()
        }
        _ => Tensor::from_array((dims, values))?.into_dyn(),
    })
}

fn to_f32(value: &DynValue) -> ort::Result<Output> {
    let dims_of = |shape: &ort::value::Shape| shape.iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect();
    if let ValueType::Tensor { ty: TensorElementType::Float16, .. } = value.dtype() {
        let (shape, values) = value.try_extract_tensor::<half::f16>()?;
        return Ok(Output { dims: dims_of(shape), values: values.iter().map(|v| v.to_f32()).collect() });
    }
    let (shape, values) = value.try_extract_tensor::<f32>()?;
    Ok(Output { dims: dims_of(shape), values: values.to_vec() })
}

fn port(name: &str, dtype: &ValueType) -> Port {
    let (element, dims) = match dtype {
        ValueType::Tensor { ty, shape, .. } => {
            let element = match ty {
                TensorElementType::Float32 => Element::F32,
                TensorElementType::Float16 => Element::F16,
                TensorElementType::Uint8 => Element::U8,
                TensorElementType::Int64 => Element::I64,
                TensorElementType::Int32 => Element::I32,
                _ => Element::Other(0),
            };
            (element, shape.iter().map(|&d| usize::try_from(d).ok()).collect())
        }
        _ => (Element::Other(0), Vec::new()),
    };
    Port { name: name.to_owned(), element, dims }
}

/// As [`one_line`], to stand within a sentence. Where ONNX Runtime begins with the place in its sources, what it says comes
/// behind that.
fn reason(message: &str) -> String {
    let said = message.rsplit("[ONNXRuntimeError] : ").next().unwrap_or(message);
    // `1 : FAIL : `, the number and the name of the error.
    let mut parts = said.splitn(3, " : ");
    let said = match (parts.next(), parts.next(), parts.next()) {
        (Some(number), Some(_), Some(rest)) if number.chars().all(|c| c.is_ascii_digit()) => rest,
        _ => said,
    };
    one_line(said).trim_end_matches(['.', ' ']).to_owned()
}

/// ONNX Runtime's messages run over lines and repeat themselves; the first line says it.
fn one_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default().trim();
    let mut text: String = line.chars().take(300).collect();
    if text.len() < line.len() {
        text.push('…');
    }
    text
}
