//! The dataflow, as its own logs show it: in this process, or passed on from the pipeline's.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use contracts::Micros;
use contracts::answers::{Dataflow, EdgeView, OperatorView};
use pipeline::observed::{Edge, Flow, Observed, Operator};

use crate::Api;
use crate::neighbours::passed_on;
use crate::params::Params;
use crate::problem::Problem;
use crate::reads::some_time;

pub(crate) async fn dataflow(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    Params::of(&uri, &[])?;
    let Some(observed) = api.app.dataflow else {
        let pipeline = api.app.neighbours.pipeline.as_deref();
        return passed_on(pipeline, uri.path(), "pipeline", "--pipeline-url").await;
    };
    Ok(Json(view(observed, api.app.views.as_of(), api.now())).into_response())
}

/// What is seen of a dataflow whose views are as of `as_of`, which is 0 before they are any.
pub fn view(observed: &Observed, as_of: Micros, now: Micros) -> Dataflow {
    let seen = observed.seen();
    let lag = if as_of > Micros(0) { (now.0 - as_of.0).max(0) as f64 / 1e6 } else { 0.0 };
    Dataflow {
        as_of: some_time(as_of),
        lag_seconds: lag,
        workers: seen.workers as u64,
        operators: seen.operators.into_iter().map(operator).collect(),
        edges: seen.edges.into_iter().map(edge).collect(),
    }
}

fn operator((address, operator): (Vec<usize>, Operator)) -> OperatorView {
    let scope = address.split_last().map(|(_, scope)| scope).filter(|scope| !scope.is_empty());
    let Operator { name, activations, busy, records, pending_records, pending_bytes } = operator;
    OperatorView {
        id: id(&address),
        scope: scope.map(id),
        name,
        activations,
        busy_seconds: busy.as_secs_f64(),
        records: number(records),
        pending_records: number(pending_records),
        pending_bytes: number(pending_bytes),
    }
}

fn edge((Edge { from, to }, Flow { messages, records }): (Edge, Flow)) -> EdgeView {
    EdgeView {
        from: id(&from.0),
        from_port: from.1 as u64,
        to: id(&to.0),
        to_port: to.1 as u64,
        messages,
        records: number(records),
    }
}

fn id(address: &[usize]) -> String {
    let indices: Vec<_> = address.iter().map(usize::to_string).collect();
    indices.join(".")
}

/// Two logs are read one after the other, so a difference may come before what it is taken from.
fn number(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
