//! Weights in files beside the model (`model.onnx_data`), brought into it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use prost::Message;
use prost::bytes::Bytes;

use super::graph::{for_each_node_tensor, for_each_tensor};
use super::proto::{DataLocation, DataType, ModelProto, TensorProto};
use super::{MAX_MODEL_BYTES, OnnxError, check_size};

/// Brings every tensor that is stored in a file beside `graph`, the model's own file, into the model, and says whether
/// there was any. Such a file lies in the folder of `graph` or below it; where `graph` is a symbolic link, as in the cache
/// of a hub, it may also be one that leads to where `graph` leads.
///
/// # Errors
/// When a location leads elsewhere (absolute, with `..`, or through another symbolic link), a file is missing or too
/// short, a length does not fit the tensor's shape, or the model would exceed 2 GiB ([`OnnxError::TooLarge`], found
/// before anything is read). The model is unusable after an error.
pub fn inline_external_data(model: &mut ModelProto, graph: &Path) -> Result<bool, OnnxError> {
    let mut files = Files { graph, roots: None, open: BTreeMap::new() };
    let mut total = model.encoded_len() as u64;
    let mut n_external = 0;
    for_each_model_tensor(model, &mut |tensor| {
        if is_external(tensor) {
            let part = files.locate(tensor)?;
            total = total.saturating_add(part.length);
            n_external += 1;
        }
        Ok(())
    })?;
    if total > MAX_MODEL_BYTES {
        return Err(OnnxError::TooLarge { bytes: total });
    }
    for_each_model_tensor(model, &mut |tensor| {
        if is_external(tensor) {
            let bytes = files.read(tensor)?;
            tensor.raw_data = Some(bytes);
            tensor.external_data.clear();
            tensor.data_location = None;
        }
        Ok(())
    })?;
    check_size(model)?;
    Ok(n_external > 0)
}

/// Files that a model's tensors are stored in, relative to its own folder; sorted. Those that lead out of it are left out:
/// they are never read.
pub fn external_locations(model: &mut ModelProto) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let visited = for_each_model_tensor(model, &mut |tensor| {
        let location = tensor.external_data.iter().find(|e| e.key() == "location");
        if is_external(tensor) {
            found.extend(location.and_then(|entry| relative(entry.value())));
        }
        Ok(())
    });
    debug_assert!(visited.is_ok(), "the visitor never fails");
    found
}

/// Where a location is below the model's folder; `None` where it leads out of it.
fn relative(location: &str) -> Option<PathBuf> {
    // Windows exporters write backslashes; on other systems they would hide a `..`.
    let path = PathBuf::from(location.replace('\\', "/"));
    let is_inside = path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    (is_inside && !location.contains(':')).then(|| path.components().filter(|c| *c != Component::CurDir).collect())
}

fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(DataLocation::External as i32)
}

fn for_each_model_tensor(
    model: &mut ModelProto,
    f: &mut dyn FnMut(&mut TensorProto) -> Result<(), OnnxError>,
) -> Result<(), OnnxError> {
    let training = model.training_info.iter_mut().flat_map(|t| t.initialization.iter_mut().chain(&mut t.algorithm));
    for graph in model.graph.iter_mut().chain(training) {
        for_each_tensor(graph, f)?;
    }
    model.functions.iter_mut().flat_map(|fun| &mut fun.node).try_for_each(|node| for_each_node_tensor(node, f))
}

/// The files of weights of one model, each opened once.
struct Files<'g> {
    graph: &'g Path,
    /// See [`roots`].
    roots: Option<[PathBuf; 2]>,
    open: BTreeMap<String, (PathBuf, File, u64)>,
}

/// A stretch of a file.
struct Part {
    location: String,
    offset: u64,
    length: u64,
}

impl Files<'_> {
    fn locate(&mut self, tensor: &TensorProto) -> Result<Part, OnnxError> {
        let entry = |key: &str| tensor.external_data.iter().find(|e| e.key() == key).map(|e| e.value());
        let bad = |field: &'static str| OnnxError::ExternalField { tensor: tensor.name().to_owned(), field };
        let number = |field: &'static str| match entry(field) {
            None | Some("") => Ok(None),
            Some(text) => text.trim().parse::<u64>().map(Some).map_err(|_| bad(field)),
        };
        let location = entry("location").filter(|l| !l.is_empty()).ok_or_else(|| bad("location"))?.to_owned();
        let offset = number("offset")?.unwrap_or(0);
        let stated = number("length")?;
        let by_shape = byte_len(tensor);

        let (path, _, found) = self.file(tensor, &location)?;
        let found = *found;
        // Without a length the tensor takes what its shape says; a string or unknown type takes the rest of the file.
        let length = stated.or(by_shape).unwrap_or(found.saturating_sub(offset));
        if offset.checked_add(length).is_none_or(|end| end > found) {
            let (tensor, path) = (tensor.name().to_owned(), path.clone());
            return Err(OnnxError::ExternalShort { tensor, path, offset, needed: length, found });
        }
        if let Some(needed) = by_shape.filter(|&needed| needed != length) {
            return Err(OnnxError::ExternalSize { tensor: tensor.name().to_owned(), needed, found: length });
        }
        Ok(Part { location, offset, length })
    }

    fn read(&mut self, tensor: &TensorProto) -> Result<Bytes, OnnxError> {
        let part = self.locate(tensor)?;
        let (path, file, _) = self.file(tensor, &part.location)?;
        // Bounded by MAX_MODEL_BYTES, checked by the caller.
        let mut bytes = vec![0; usize::try_from(part.length).unwrap_or_default()];
        file.seek(SeekFrom::Start(part.offset)).and_then(|_| file.read_exact(&mut bytes)).map_err(|source| {
            OnnxError::ExternalRead { tensor: tensor.name().to_owned(), path: path.clone(), source }
        })?;
        Ok(bytes.into())
    }

    fn file(&mut self, tensor: &TensorProto, location: &str) -> Result<&mut (PathBuf, File, u64), OnnxError> {
        if !self.open.contains_key(location) {
            let opened = self.open(tensor, location)?;
            self.open.insert(location.to_owned(), opened);
        }
        let outside = || OnnxError::ExternalOutside { tensor: tensor.name().to_owned(), location: location.to_owned() };
        self.open.get_mut(location).ok_or_else(outside)
    }

    fn open(&mut self, tensor: &TensorProto, location: &str) -> Result<(PathBuf, File, u64), OnnxError> {
        let outside = || OnnxError::ExternalOutside { tensor: tensor.name().to_owned(), location: location.to_owned() };
        let dir = folder(self.graph);
        let path = dir.join(relative(location).ok_or_else(outside)?);
        let failed = |source| OnnxError::ExternalRead { tensor: tensor.name().to_owned(), path: path.clone(), source };
        let roots = match &self.roots {
            Some(roots) => roots,
            None => self.roots.insert(roots(self.graph).map_err(failed)?),
        };
        let target = path.canonicalize().map_err(failed)?;
        if !roots.iter().any(|root| target.starts_with(root)) {
            return Err(outside());
        }
        let file = File::open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        Ok((path, file, length))
    }
}

/// Whether a file is one that the tensors of `graph` may be stored in: it is there and leads nowhere else.
pub fn is_beside(graph: &Path, file: &Path) -> bool {
    let target = file.canonicalize().and_then(|target| Ok((target, roots(graph)?)));
    target.is_ok_and(|(target, roots)| roots.iter().any(|root| target.starts_with(root)))
}

/// Folders that the files of weights of `graph` may lie in, without symbolic links: its own, and that of the file that it
/// leads to.
fn roots(graph: &Path) -> io::Result<[PathBuf; 2]> {
    let own = folder(graph).canonicalize()?;
    // A graph that is gone meanwhile, or is not read from a file, leads nowhere.
    let led_to = graph.canonicalize().map_or_else(|_| own.clone(), |graph| folder(&graph).to_owned());
    Ok([own, led_to])
}

fn folder(file: &Path) -> &Path {
    file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Bytes of a tensor's raw data by its shape and element type; `None` for strings and unknown types.
fn byte_len(tensor: &TensorProto) -> Option<u64> {
    use DataType as T;
    let bits: u64 = match DataType::try_from(tensor.data_type()).ok()? {
        T::Uint2 | T::Int2 => 2,
        T::Uint4 | T::Int4 | T::Float4e2m1 => 4,
        T::Uint8 | T::Int8 | T::Bool => 8,
        T::Float8e4m3fn | T::Float8e4m3fnuz | T::Float8e5m2 | T::Float8e5m2fnuz | T::Float8e8m0 => 8,
        T::Uint16 | T::Int16 | T::Float16 | T::Bfloat16 => 16,
        T::Float | T::Int32 | T::Uint32 => 32,
        T::Double | T::Int64 | T::Uint64 | T::Complex64 => 64,
        T::Complex128 => 128,
        // How six-bit numbers are packed is young enough to be left to the stated length.
        T::Undefined | T::String | T::Float6e2m3 | T::Float6e3m2 => return None,
    };
    let n_elements = tensor.dims.iter().try_fold(1u64, |n, &d| n.checked_mul(u64::try_from(d).ok()?))?;
    Some(n_elements.checked_mul(bits)?.div_ceil(8))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::proto::{GraphProto, StringStringEntryProto};
    use super::*;

    fn model(entries: &[(&str, &str)], n_floats: i64) -> ModelProto {
        let tensor = TensorProto {
            name: Some("w".into()),
            dims: vec![n_floats],
            data_type: Some(DataType::Float as i32),
            data_location: Some(DataLocation::External as i32),
            external_data: entries
                .iter()
                .map(|&(k, v)| StringStringEntryProto { key: Some(k.into()), value: Some(v.into()) })
                .collect(),
            ..Default::default()
        };
        ModelProto { graph: Some(GraphProto { initializer: vec![tensor], ..Default::default() }), ..Default::default() }
    }

    fn inlined(dir: &Path, entries: &[(&str, &str)], n_floats: i64) -> Result<Vec<u8>, OnnxError> {
        let mut model = model(entries, n_floats);
        inline_external_data(&mut model, &dir.join("model.onnx"))?;
        let tensor = &model.graph.unwrap().initializer[0];
        assert!(!is_external(tensor) && tensor.external_data.is_empty());
        Ok(tensor.raw_data.clone().unwrap().to_vec())
    }

    #[test]
    fn offset_and_length_are_honoured() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/w.bin"), (0u8..16).collect::<Vec<_>>()).unwrap();
        let location = ("location", "./sub/w.bin");
        assert_eq!(inlined(dir.path(), &[location], 4).unwrap(), (0..16).collect::<Vec<u8>>());
        assert_eq!(inlined(dir.path(), &[location, ("offset", "8")], 2).unwrap(), (8..16).collect::<Vec<u8>>());
        assert_eq!(inlined(dir.path(), &[location, ("offset", "4"), ("length", "4")], 1).unwrap(), [4, 5, 6, 7]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("w.bin"), [0u8; 16]).unwrap();
        let location = ("location", "w.bin");
        let err = |entries: &[(&str, &str)], n| inlined(dir.path(), entries, n).unwrap_err();
        assert!(matches!(err(&[], 4), OnnxError::ExternalField { field: "location", .. }));
        assert!(matches!(err(&[location, ("offset", "-1")], 4), OnnxError::ExternalField { field: "offset", .. }));
        assert!(matches!(err(&[location], 5), OnnxError::ExternalShort { needed: 20, found: 16, .. }));
        assert!(matches!(err(&[location, ("length", "12")], 4), OnnxError::ExternalSize { needed: 16, found: 12, .. }));
        assert!(matches!(err(&[("location", "gone.bin")], 4), OnnxError::ExternalRead { .. }));
        let beyond = u64::MAX.to_string();
        assert!(matches!(err(&[location, ("offset", &beyond)], 4), OnnxError::ExternalShort { .. }));
    }

    #[test]
    fn locations_stay_inside_the_folder() {
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("model");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(outer.path().join("secret"), [0u8; 16]).unwrap();
        let absolute = outer.path().join("secret").display().to_string();
        for location in ["../secret", "a/../../secret", "..\\secret", "C:\\secret", absolute.as_str()] {
            let err = inlined(&dir, &[("location", location)], 4).unwrap_err();
            assert!(matches!(err, OnnxError::ExternalOutside { .. }), "{location}: {err}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(outer.path().join("secret"), dir.join("link")).unwrap();
            let err = inlined(&dir, &[("location", "link")], 4).unwrap_err();
            assert!(matches!(err, OnnxError::ExternalOutside { .. }));
        }
    }

    #[test]
    #[cfg(unix)]
    fn links_of_a_hub_lead_to_where_the_graph_is() {
        use std::os::unix::fs::symlink;
        let hub = tempfile::tempdir().unwrap();
        let (blobs, snapshot) = (hub.path().join("blobs"), hub.path().join("snapshots/x"));
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::create_dir_all(&snapshot).unwrap();
        std::fs::write(blobs.join("graph"), []).unwrap();
        std::fs::write(blobs.join("weights"), [7u8; 16]).unwrap();
        std::fs::write(hub.path().join("secret"), [0u8; 16]).unwrap();
        symlink("../../blobs/weights", snapshot.join("model.onnx.data")).unwrap();
        symlink("../../secret", snapshot.join("elsewhere")).unwrap();
        let location = [("location", "model.onnx.data")];
        let outside = |location: &[(&str, &str)]| {
            let error = inlined(&snapshot, location, 4).unwrap_err();
            assert!(matches!(error, OnnxError::ExternalOutside { .. }), "{location:?}: {error}");
        };
        // A graph of this folder reads what lies in this folder.
        std::fs::write(snapshot.join("model.onnx"), []).unwrap();
        outside(&location);
        std::fs::remove_file(snapshot.join("model.onnx")).unwrap();
        symlink("../../blobs/graph", snapshot.join("model.onnx")).unwrap();
        assert_eq!(inlined(&snapshot, &location, 4).unwrap(), [7; 16]);
        outside(&[("location", "elsewhere")]);
        outside(&[("location", "../../blobs/weights")]);
    }

    #[test]
    fn locations_are_told_as_paths() {
        let of = |location| external_locations(&mut model(&[("location", location)], 4));
        let below: PathBuf = ["sub", "w.bin"].iter().collect();
        assert_eq!(of("sub\\w.bin"), [below.clone()].into());
        assert_eq!(of("./sub/w.bin"), [below].into());
        assert!(["../w.bin", "..\\w.bin", "/w.bin", "C:\\w.bin"].into_iter().all(|location| of(location).is_empty()));
    }

    #[test]
    fn two_gigabytes_are_refused_before_reading() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("w.bin")).unwrap();
        file.set_len(3 << 30).unwrap();
        let err = inlined(dir.path(), &[("location", "w.bin")], 3 << 28).unwrap_err();
        assert!(matches!(err, OnnxError::TooLarge { bytes } if bytes > 3 << 30));
    }
}
