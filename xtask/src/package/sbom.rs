//! The list of what is linked into the libraries (SBOM), as CycloneDX in JSON.

use anyhow::Result;
use serde_json::{Value, json};

use super::dependencies::Crate;
use super::ingredients::Ingredients;

/// The list, with the crates in order.
///
/// # Errors
/// The program `date` is missing.
pub(crate) fn text(ingredients: &Ingredients<'_>) -> Result<String> {
    let version = &ingredients.release.version;
    let module = reference("mod_websocket", version);
    let crates = || ingredients.dependencies.iter();
    let components: Vec<_> = crates()
        .filter(|it| reference(&it.name, &it.version) != module)
        .map(component)
        .collect();
    let dependencies: Vec<_> = crates().map(needs).collect();
    let list = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": ingredients.release.date("+%Y-%m-%dT%H:%M:%SZ")?,
            "component": {
                "type": "library",
                "bom-ref": module,
                "name": "mod_websocket",
                "version": version,
                "purl": module,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": components,
        "dependencies": dependencies,
    });
    Ok(serde_json::to_string_pretty(&list)? + "\n")
}

/// The name that the list has for a crate, a package URL.
fn reference(name: &str, version: &str) -> String {
    // The only character of a version that package URLs encode.
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

fn component(it: &Crate) -> Value {
    let reference = reference(&it.name, &it.version);
    let mut component = json!({
        "type": "library",
        "bom-ref": reference,
        "name": it.name,
        "version": it.version,
        "purl": reference,
    });
    if let Some(description) = &it.description {
        component["description"] = description.trim().into();
    }
    if let Some(licence) = &it.licence {
        // Old crates separate alternatives by a slash, which SPDX does not know.
        let expression = licence.replace('/', " OR ");
        component["licenses"] = json!([{"expression": expression}]);
    }
    if let Some(checksum) = &it.checksum {
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    component
}

fn needs(it: &Crate) -> Value {
    let needs = it.needs.iter();
    let needs: Vec<_> = needs
        .map(|(name, version)| reference(name, version))
        .collect();
    json!({"ref": reference(&it.name, &it.version), "dependsOn": needs})
}
