//! How often each operator multiplies.

use std::collections::{BTreeMap, HashMap};

use super::product;
use crate::onnx::graph as walk;
use crate::onnx::proto::{DataType, FunctionProto, GraphProto, NodeProto, TensorProto};

/// Nodes that pass a weight on as it is, or in another number format.
const PASSING: [&str; 4] = ["DequantizeLinear", "Cast", "Identity", "QuantizeLinear"];
/// Nodes that pass a weight on in another form.
const RESHAPING: [&str; 5] = ["Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten"];

/// Operators that multiply and are counted, at least in some of their forms.
const COUNTED: &str = "Attention Conv ConvInteger ConvTranspose DeformConv DynamicQuantizeMatMul Einsum FusedConv FusedGemm \
    FusedMatMul Gemm MatMul MatMulBnb4 MatMulInteger MatMulIntegerToFloat MatMulNBits MultiHeadAttention QGemm \
    QLinearConv QLinearMatMul TransposeMatMul";

/// Operators that multiply and are not counted, also where their weights do not stand in the graph.
const UNCOUNTED: &str = "DFT DecoderAttention DecoderMaskedMultiHeadAttention DecoderMaskedSelfAttention GRU \
    GatedRelativePositionBias GroupQueryAttention LSTM LongformerAttention PackedAttention \
    PackedMultiHeadAttention QAttention QOrderedAttention RNN STFT SparseAttention";

/// Operators that may read weights and do no more than a few operations for each element that they read or make, or only
/// move them: those count as nothing.
const ELEMENTWISE: &str = "Abs Add And ArgMax ArgMin AveragePool BatchNormalization BiasAdd BiasGelu BiasSoftmax BiasSplitGelu Cast \
    CastLike Ceil Celu CenterCropPad Clip Compress Concat Cos CumSum DepthToSpace DequantizeLinear Div Dropout \
    DynamicQuantizeLinear Elu EmbedLayerNormalization Equal Erf Exp Expand FastGelu Flatten Floor Gather \
    GatherBlockQuantized GatherElements GatherND Gelu GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual \
    GridSample GroupNorm GroupNormalization HardSigmoid HardSwish Identity InstanceNormalization IsNaN \
    LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization Max MaxPool Mean Min Mish Mod \
    Mul Neg Not Or PRelu Pad Pow QLinearAdd QLinearConcat QLinearMul QuantizeLinear QuickGelu RMSNormalization \
    Reciprocal Relu Reshape Resize RotaryEmbedding Round ScatterElements ScatterND Shape Sigmoid \
    SimplifiedLayerNormalization Sin Size SkipGroupNorm SkipLayerNormalization SkipSimplifiedLayerNormalization \
    Slice Softmax SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile TopK Transpose Where";

/// Further ones by their beginning (`ReduceMean`, …), with `Unsqueeze`, `Upsample` and `Trilu`.
const ELEMENTWISE_STARTS: [&str; 5] = ["Reduce", "Unsqueeze", "Upsample", "Trilu", "QLinearReduce"];

/// The dimensions of what a node reads.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    /// Those of a weight.
    Known(Vec<u64>),
    /// Those that the tensor has in a run.
    Run(String),
}

impl Operand {
    fn dims(&self, run: &BTreeMap<String, Vec<usize>>) -> Option<Vec<u64>> {
        match self {
            Self::Known(dims) => Some(dims.clone()),
            Self::Run(name) => Some(run.get(name)?.iter().map(|&n| n as u64).collect()),
        }
    }
}

/// How often a node multiplies.
#[derive(Clone, Debug)]
pub(super) enum Rule {
    /// For each element of its output as often as one of the kernels (the second) has elements.
    PerOutput(Operand, Operand),
    /// For each element of what it reads as often as one of the kernels (the second) has elements.
    PerInput(Operand, Operand),
    /// For each element of its output as often as the last dimension of the second is long (the one before where turned).
    Inner(Operand, Operand, bool),
    /// Once for each combination of the indices of an equation's terms.
    Indices(Vec<String>, Vec<Operand>),
    /// Attention with the weights that make its queries, keys and values: the input, those weights, and the columns of the
    /// weights that are the queries' and the values' (a third each where it is not said).
    Projected(Operand, Operand, Option<(u64, u64)>),
    /// Attention between queries, keys and values, with the numbers of heads of the queries and of the keys.
    Attention(Vec<Operand>, Option<(u64, u64)>),
    /// Somehow.
    Unknown,
}

impl Rule {
    /// Tensors whose dimensions in a run are needed.
    pub(super) fn tensors(&self) -> impl Iterator<Item = &str> {
        let operands: Vec<&Operand> = match self {
            Self::PerOutput(a, b) | Self::PerInput(a, b) | Self::Inner(a, b, _) | Self::Projected(a, b, _) => {
                vec![a, b]
            }
            Self::Indices(_, operands) | Self::Attention(operands, _) => operands.iter().collect(),
            Self::Unknown => Vec::new(),
        };
        operands.into_iter().filter_map(|operand| match operand {
            Operand::Known(_) => None,
            Operand::Run(name) => Some(name.as_str()),
        })
    }

    /// MACs in a run with these dimensions, where they tell.
    pub(super) fn macs(&self, run: &BTreeMap<String, Vec<usize>>) -> Option<u64> {
        match self {
            Self::PerOutput(of, kernels) | Self::PerInput(of, kernels) => {
                let kernel = product(kernels.dims(run)?.get(1..)?.iter().copied());
                Some(product(of.dims(run)?).saturating_mul(kernel))
            }
            Self::Inner(output, input, is_turned) => {
                let dims = input.dims(run)?;
                let inner = *dims.get(dims.len().checked_sub(if *is_turned { 2 } else { 1 })?)?;
                Some(product(output.dims(run)?).saturating_mul(inner))
            }
            Self::Indices(terms, operands) => {
                let dims: Option<Vec<Vec<u64>>> = operands.iter().map(|o| o.dims(run)).collect();
                let sizes = index_sizes(terms, &dims?)?;
                // One term alone is turned or summed.
                Some(if operands.len() > 1 { product(sizes.into_values()) } else { 0 })
            }
            Self::Projected(input, weights, columns) => {
                let [n_images, n_tokens, _] = input.dims(run)?[..] else { return None };
                let [n_rows, n_columns] = weights.dims(run)?[..] else { return None };
                let (of_queries, of_values) = columns.unwrap_or((n_columns / 3, n_columns / 3));
                let projections = product([n_images, n_tokens, n_rows, n_columns]);
                let scores = product([n_images, n_tokens, n_tokens, of_queries.saturating_add(of_values)]);
                Some(projections.saturating_add(scores))
            }
            Self::Attention(operands, heads) => {
                let dims: Option<Vec<Vec<u64>>> = operands.iter().map(|o| o.dims(run)).collect();
                attention(&dims?, *heads)
            }
            Self::Unknown => None,
        }
    }
}

/// How long each index of an equation is; those that `...` stands for are counted from the last.
fn index_sizes(terms: &[String], dims: &[Vec<u64>]) -> Option<BTreeMap<String, u64>> {
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    for (term, dims) in terms.iter().zip(dims) {
        let (before, after) = term.split_once("...").unwrap_or((term, ""));
        let n_named = before.chars().count() + after.chars().count();
        let n_others = dims.len().checked_sub(n_named)?;
        if n_others > 0 && !term.contains("...") {
            return None;
        }
        let others = (0..n_others).rev().map(|i| format!("...{i}"));
        let names = before.chars().map(String::from).chain(others).chain(after.chars().map(String::from));
        for (name, &n) in names.zip(dims) {
            // A dimension of one is repeated.
            let size = sizes.entry(name).or_insert(n);
            *size = n.max(*size);
        }
    }
    (terms.len() == dims.len()).then_some(sizes)
}

/// Multiplications between queries and keys and between scores and values, in any of the forms of these: `[N, tokens,
/// columns]`, `[N, heads, tokens, columns]`, or packed with others as `[N, tokens, heads, 2 or 3, columns]`.
fn attention(dims: &[Vec<u64>], heads: Option<(u64, u64)>) -> Option<u64> {
    let (n_images, n_queries, n_keys, n_columns) = match dims.iter().map(Vec::as_slice).collect::<Vec<_>>()[..] {
        [&[n, tokens, n_heads, 3, columns]] => (n, tokens, tokens, product([n_heads, columns]).saturating_mul(2)),
        [&[n, tokens, columns], &[_, n_keys, _, 2, _]] => (n, tokens, n_keys, columns.saturating_mul(2)),
        [&[n, tokens, of_queries], &[_, n_keys, _], &[_, _, of_values]] => {
            // Where keys and values have fewer heads, each serves several of the queries.
            let repeat = |columns: u64| match heads {
                Some((queries, keys)) => columns.checked_div(keys).map(|columns| columns.saturating_mul(queries)),
                None => Some(columns),
            };
            (n, tokens, n_keys, of_queries.saturating_add(repeat(of_values)?))
        }
        [&[n, tokens, of_queries], &[_, n_heads, n_keys, _], &[_, _, _, of_values]] => {
            (n, tokens, n_keys, of_queries.saturating_add(n_heads.saturating_mul(of_values)))
        }
        [&[n, n_heads, tokens, of_queries], &[_, _, n_keys, _], &[_, _, _, of_values]] => {
            (n, tokens, n_keys, n_heads.saturating_mul(of_queries.saturating_add(of_values)))
        }
        _ => return None,
    };
    Some(product([n_images, n_queries, n_keys, n_columns]))
}

/// Whether an operator is among those of a list.
fn is_in(list: &str, node: &NodeProto) -> bool {
    list.split(' ').any(|op| op == node.op_type())
}

fn multiplies(node: &NodeProto) -> bool {
    is_in(COUNTED, node) || is_in(UNCOUNTED, node)
}

/// How a node multiplies; `None` where it does not.
pub(super) fn of_node(node: &NodeProto, weights: &Weights<'_>, functions: &Functions<'_>) -> Option<Rule> {
    if let Some(multiplies) = functions.multiplies(node) {
        return multiplies.then_some(Rule::Unknown);
    }
    let mut graphs = walk::subgraphs(node).peekable();
    if graphs.peek().is_some() {
        return graphs.any(|graph| multiplies_within(graph, functions)).then_some(Rule::Unknown);
    }
    match is_in(COUNTED, node) {
        true => Some(counted(node, weights).unwrap_or(Rule::Unknown)),
        false => (is_in(UNCOUNTED, node) || reads_weights(node, weights)).then_some(Rule::Unknown),
    }
}

/// Whether an operator of which nothing is known reads weights.
fn reads_weights(node: &NodeProto, weights: &Weights<'_>) -> bool {
    let is_elementwise =
        is_in(ELEMENTWISE, node) || ELEMENTWISE_STARTS.iter().any(|start| node.op_type().starts_with(start));
    !is_elementwise && node.input.iter().any(|name| weights.is_matrix(name))
}

/// Whether something in a branch or in the body of a loop multiplies.
fn multiplies_within(graph: &GraphProto, functions: &Functions<'_>) -> bool {
    let weights = Weights::new(graph);
    graph.node.iter().any(|node| {
        functions.multiplies(node).unwrap_or_else(|| multiplies(node) || reads_weights(node, &weights))
            || walk::subgraphs(node).any(|graph| multiplies_within(graph, functions))
    })
}

/// The functions of a model, and which of them multiply.
#[derive(Default)]
pub(super) struct Functions<'m> {
    multiplies: HashMap<(&'m str, &'m str), bool>,
}

impl<'m> Functions<'m> {
    pub(super) fn new(functions: &'m [FunctionProto]) -> Self {
        let mut found = Self::default();
        let mut callers: HashMap<(&str, &str), Vec<(&str, &str)>> = HashMap::new();
        let mut waiting = Vec::new();
        for function in functions {
            let name = (plain(function.domain()), function.name());
            found.multiplies.insert(name, false);
            let mut is_found = false;
            for_each_node(&function.node, &mut |node| {
                callers.entry((plain(node.domain()), node.op_type())).or_default().push(name);
                is_found |= multiplies(node);
            });
            waiting.extend(is_found.then_some(name));
        }
        // From those that multiply to those that call them; a list of its own instead of recursion.
        while let Some(name) = waiting.pop() {
            if found.multiplies.insert(name, true) != Some(true) {
                waiting.extend(callers.get(&name).into_iter().flatten());
            }
        }
        found
    }

    /// Whether the function that a node calls multiplies; `None` where it calls none.
    fn multiplies(&self, node: &NodeProto) -> Option<bool> {
        self.multiplies.get(&(plain(node.domain()), node.op_type())).copied()
    }
}

/// ONNX's own domain has two names.
fn plain(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

/// Calls `f` on nodes and on those of their branches and loops.
fn for_each_node<'m>(nodes: &'m [NodeProto], f: &mut dyn FnMut(&'m NodeProto)) {
    for node in nodes {
        f(node);
        walk::subgraphs(node).for_each(|graph| for_each_node(&graph.node, f));
    }
}

/// The rule of an operator of [`COUNTED`], where its form is one that is counted.
fn counted(node: &NodeProto, weights: &Weights<'_>) -> Option<Rule> {
    let input = |i: usize| node.input.get(i).filter(|name| !name.is_empty()).map(|name| weights.operand(name));
    let is_there = |i: usize| input(i).is_some();
    let output = || Some(Operand::Run(walk::writes(node).next()?.to_owned()));
    let int = |name: &str| {
        let value = node.attribute.iter().find(|a| a.name() == name)?.i();
        u64::try_from(value).ok()
    };
    match node.op_type() {
        "Conv" | "ConvInteger" | "FusedConv" | "DeformConv" => Some(Rule::PerOutput(output()?, input(1)?)),
        "QLinearConv" => Some(Rule::PerOutput(output()?, input(3)?)),
        "ConvTranspose" => Some(Rule::PerInput(input(0)?, input(1)?)),
        "Einsum" => {
            let equation = node.attribute.iter().find(|a| a.name() == "equation")?.s();
            let equation: String = String::from_utf8_lossy(equation).split_whitespace().collect();
            let terms = equation.split("->").next()?.split(',').map(str::to_owned).collect();
            let operands = (0..node.input.len()).map(input).collect::<Option<_>>()?;
            Some(Rule::Indices(terms, operands))
        }
        // With past keys and values there are more than those that are read.
        "Attention" if node.domain() == "com.microsoft" => {
            let sizes = node.attribute.iter().find(|a| a.name() == "qkv_hidden_sizes").map(|a| a.ints.as_slice());
            let columns = match sizes {
                None | Some([]) => None,
                Some([queries, _, values]) => Some((u64::try_from(*queries).ok()?, u64::try_from(*values).ok()?)),
                Some(_) => return None,
            };
            (!is_there(4)).then_some(Rule::Projected(input(0)?, input(1)?, columns))
        }
        "MultiHeadAttention" => {
            let operands = [0, 1, 2].into_iter().filter_map(input).collect();
            (!is_there(6) && !is_there(7)).then_some(Rule::Attention(operands, None))
        }
        "Attention" => {
            let operands = [input(0)?, input(1)?, input(2)?].into();
            let heads = int("q_num_heads").zip(int("kv_num_heads"));
            (!is_there(4) && !is_there(5)).then_some(Rule::Attention(operands, heads))
        }
        // The rest are products of two matrices.
        _ => {
            let is_turned = int("transA") == Some(1);
            Some(Rule::Inner(output()?, input(0)?, is_turned))
        }
    }
}

/// Weights of a graph, also through what only turns their numbers into others.
pub(super) struct Weights<'g> {
    graph: &'g GraphProto,
    stored: HashMap<&'g str, &'g TensorProto>,
    producers: HashMap<&'g str, usize>,
}

impl<'g> Weights<'g> {
    pub(super) fn new(graph: &'g GraphProto) -> Self {
        let stored = graph.initializer.iter().map(|t| (t.name(), t)).collect();
        Self { graph, stored, producers: walk::producers(graph) }
    }

    /// The dimensions of what is read under a name: a weight's are known.
    fn operand(&self, name: &str) -> Operand {
        let dims = |tensor: &TensorProto| tensor.dims.iter().map(|&d| u64::try_from(d).ok()).collect::<Option<_>>();
        match self.tensor(name, &PASSING).and_then(dims) {
            Some(dims) => Operand::Known(dims),
            None => Operand::Run(name.to_owned()),
        }
    }

    /// Whether this is a weight that could be multiplied with: of two or more dimensions, in a number format of weights.
    fn is_matrix(&self, name: &str) -> bool {
        use DataType as T;
        let passing: Vec<&str> = PASSING.into_iter().chain(RESHAPING).collect();
        self.tensor(name, &passing).is_some_and(|tensor| {
            let is_number = matches!(
                DataType::try_from(tensor.data_type()),
                Ok(T::Float | T::Float16 | T::Bfloat16 | T::Double | T::Int8 | T::Uint8 | T::Int4 | T::Uint4)
            );
            is_number && tensor.dims.len() > 1
        })
    }

    /// The stored tensor behind a name, through nodes that are `passing`.
    fn tensor(&self, name: &str, passing: &[&str]) -> Option<&'g TensorProto> {
        let mut name = name;
        for _ in 0..8 {
            if let Some(tensor) = self.stored.get(name) {
                return Some(tensor);
            }
            let node = &self.graph.node[*self.producers.get(name)?];
            if node.op_type() == "Constant" {
                return node.attribute.iter().find_map(|a| a.t.as_ref());
            }
            let is_passing = passing.contains(&node.op_type());
            name = node.input.first().filter(|_| is_passing)?;
        }
        None
    }
}
