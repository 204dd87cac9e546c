//! Prompt templates: sentences that a description is put into before it is encoded.

use serde::{Deserialize, Serialize};

use super::labels::{Label, LabelError};

/// The template for one picture.
pub const PHOTO: &str = "a photo of a {}";
/// The seven templates that OpenAI's notebook found to do nearly as well as its eighty.
pub const ENSEMBLE: [&str; 7] = [
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
];

/// Which templates descriptions are put into.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Templates {
    /// What suits the model.
    #[default]
    Auto,
    /// The description as it is.
    None,
    /// [`PHOTO`].
    Photo,
    /// [`ENSEMBLE`].
    Ensemble,
    /// The user's own, each with a `{}`.
    Own(Vec<String>),
}

impl Templates {
    /// The user's own templates, one a line.
    ///
    /// # Errors
    /// When there is none, or one has no `{}`.
    pub fn own(text: &str) -> Result<Self, LabelError> {
        let lines: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
        match lines.iter().find(|line| !line.contains("{}")) {
            Some(template) => Err(LabelError::Template { template: template.clone() }),
            None if lines.is_empty() => Err(LabelError::Template { template: String::new() }),
            None => Ok(Self::Own(lines)),
        }
    }

    /// The templates; `default` is what suits the model.
    pub fn texts(&self, default: &Self) -> Vec<String> {
        match self {
            Self::Auto if *default == Self::Auto => vec!["{}".to_owned()],
            Self::Auto => default.texts(&Self::None),
            Self::None => vec!["{}".to_owned()],
            Self::Photo => vec![PHOTO.to_owned()],
            Self::Ensemble => ENSEMBLE.map(str::to_owned).to_vec(),
            Self::Own(templates) => templates.clone(),
        }
    }
}

/// What is encoded for labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompts {
    /// Texts, each once.
    pub texts: Vec<String>,
    /// For each label and each of its descriptions, the positions of its texts, one a template.
    pub of_description: Vec<Vec<Vec<usize>>>,
}

impl Prompts {
    /// Puts every description of every label into every template. The contrast class is taken as it is.
    pub fn new(labels: &[Label], templates: &[String]) -> Self {
        let mut prompts = Self::default();
        let mut at = std::collections::BTreeMap::<String, usize>::new();
        for label in labels {
            let mut of_label = Vec::with_capacity(label.descriptions.len());
            for description in &label.descriptions {
                let mut rows = Vec::with_capacity(templates.len());
                let plain = ["{}".to_owned()];
                for template in if label.is_contrast { &plain[..] } else { templates } {
                    // Names of folders have `_` where people write a space.
                    let text = template.replace("{}", &description.replace('_', " "));
                    let next = at.len();
                    let row = *at.entry(text.clone()).or_insert(next);
                    if row == next {
                        prompts.texts.push(text);
                    }
                    rows.push(row);
                }
                of_label.push(rows);
            }
            prompts.of_description.push(of_label);
        }
        prompts
    }

    /// For each label, the positions of all its texts.
    pub fn of_label(&self) -> Vec<Vec<usize>> {
        self.of_description.iter().map(|descriptions| descriptions.concat()).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::text::labels::parse;

    #[test]
    fn every_description_goes_into_every_template_once() {
        let labels = parse("cat | kitten\ndog\nkitty | cat\nnone of these").unwrap();
        let templates = vec!["a {}.".to_owned(), "the {} {}".to_owned()];
        let prompts = Prompts::new(&labels, &templates);
        assert_eq!(prompts.texts[..4], ["a cat.", "the cat cat", "a kitten.", "the kitten kitten"]);
        assert_eq!(prompts.of_label()[0], [0, 1, 2, 3]);
        assert_eq!(prompts.of_description[2][1], [0, 1], "the same text is encoded once");
        assert_eq!(prompts.of_label()[3].len(), labels[3].descriptions.len(), "without templates");
    }

    #[test]
    fn the_models_own_choice_and_the_users() {
        assert_eq!(Templates::Auto.texts(&Templates::Photo), [PHOTO]);
        assert_eq!(Templates::Auto.texts(&Templates::None), ["{}"]);
        assert_eq!(Templates::Ensemble.texts(&Templates::None).len(), 7);
        assert_eq!(Templates::own("\nsketch of {}\n").unwrap(), Templates::Own(vec!["sketch of {}".into()]));
        assert!(matches!(Templates::own("no place"), Err(LabelError::Template { .. })));
        assert!(Templates::own(" \n").is_err());
    }
}
