"""Derivations as people write them: what is right in a document, what is wrong, and under which convention."""

from __future__ import annotations

import pytest

from tinygrad_rnn.language.syntax.source import Source
from tinygrad_rnn.notes.document_verdict import DocumentVerdict
from tinygrad_rnn.notes.judge_notes import judge_document
from tinygrad_rnn.notes.reading.read_document import read_document

COLUMNS = r"""# A network
$$a_t = W h_{t-1} + U x_t + b, \qquad h_t = \tanh(a_t)$$
$$o_t = V h_t + c$$
$$L = \sum_{t=1}^T \ell(o_t, y_t)$$
"""
STATE = r"\frac{\partial L}{\partial h_t}"
LSTM = r"""# A cell
$$i_t = \sigma(W_i x_t + U_i h_{t-1})$$
$$f_t = \sigma(W_f x_t + U_f h_{t-1})$$
$$g_t = \tanh(W_g x_t + U_g h_{t-1})$$
$$o_t = \sigma(W_o x_t + U_o h_{t-1})$$
$$c_t = f_t \odot c_{t-1} + i_t \odot g_t$$
$$h_t = o_t \odot \tanh(c_t)$$
"""


def judged(text: str) -> DocumentVerdict:
    return judge_document(read_document(Source(text, "notes.md")))


def verdicts(text: str) -> list[str]:
    return [claim.verdict for claim in judged(text).claims]


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        (r"\frac{\partial L}{\partial W} = \sum_{t=1}^T \frac{\partial L}{\partial a_t} h_{t-1}^T", "PASS"),
        (r"\frac{\partial L}{\partial W} = \sum_{t=1}^T \frac{\partial L}{\partial a_t} h_t^T", "FAIL"),
        (r"\frac{\partial L}{\partial W} = \sum_{t=1}^T \frac{\partial L}{\partial h_t} h_{t-1}^T", "FAIL"),
        (r"\frac{\partial L}{\partial W} = \frac{\partial L}{\partial a_t} h_{t-1}^T", "FAIL"),
        (r"\frac{\partial L}{\partial W} += \frac{\partial L}{\partial a_t} h_{t-1}^T", "PASS"),
        (r"\frac{\partial L}{\partial a_t} = \frac{\partial L}{\partial h_t} \odot (1 - h_t^2)", "PASS"),
        (r"\frac{\partial L}{\partial a_t} = \frac{\partial L}{\partial h_t} (1 - h_t)", "ILL-TYPED"),
        (STATE + r"= V^T \frac{\partial L}{\partial o_t} + W^T \frac{\partial L}{\partial a_{t+1}}",
         "PASS"),
        (STATE + r"= V \frac{\partial L}{\partial o_t} + W^T \frac{\partial L}{\partial a_{t+1}}",
         "SCALAR"),
        (STATE + r"= V^T \frac{\partial L}{\partial o_t} + W^T \frac{\partial L}{\partial h_{t+1}}",
         "FAIL"),
        (r"\frac{\partial h_t}{\partial h_{t-1}} = \operatorname{diag}(1 - h_t^2) W", "PASS"),
        (r"\frac{\partial L}{\partial q_t} = V^T \frac{\partial L}{\partial o_t}", "UNATTACHED"),
    ],
)  # fmt: skip
def test_a_claim_about_columns(claim: str, verdict: str) -> None:
    assert verdicts(f"{COLUMNS}\n## Backward\n$${claim}$$\n")[-1] == verdict


def test_a_name_for_a_gradient_is_notation_and_then_judged() -> None:
    named = r"$$\delta_t = \frac{\partial L}{\partial h_t}$$"
    right = r"$$\delta_t = V^T \frac{\partial L}{\partial o_t} + W^T ((1 - h_{t+1}^2) \odot \delta_{t+1})$$"
    wrong = r"$$\delta_t = V^T \frac{\partial L}{\partial o_t} + W^T \delta_{t+1}$$"
    assert verdicts("\n".join((COLUMNS, named, right, wrong))) == ["NOTATION", "PASS", "FAIL"]


def test_a_path_is_no_total_derivative() -> None:
    share = r"\frac{\partial L}{\partial c_{t-1}} = \frac{\partial L}{\partial c_t} \odot f_t"
    claim = judged(f"{LSTM}\n$${share}$$\n").claims[-1]
    assert (claim.verdict, claim.reading) == ("CONDITIONAL", "the share through c")
    assert "h" in claim.explanation


def test_rows_are_voted_for_by_the_whole_document() -> None:
    rows = COLUMNS.replace(r"W h_{t-1} + U x_t", r"h_{t-1} W + x_t U").replace("V h_t", "h_t V")
    backward = (
        rf"$${STATE}" r" = \frac{\partial L}{\partial o_t} V^T + \frac{\partial L}{\partial a_{t+1}} W^T$$",
        r"$$\frac{\partial L}{\partial W} = \sum_t h_{t-1}^T \frac{\partial L}{\partial a_t}$$",
        r"$$\frac{\partial L}{\partial U} = \sum_t \frac{\partial L}{\partial a_t} x_t^T$$",
    )
    found = judged("\n".join((rows, *backward)))
    assert [claim.verdict for claim in found.claims] == ["PASS", "PASS", "SCALAR"]
    assert next(c.choice for c in found.conventions if c.about == "vectors") == "rows"


def test_a_wrong_claim_is_told_with_its_right_form() -> None:
    wrong = r"\frac{\partial L}{\partial W} = \sum_{t=1}^T \frac{\partial L}{\partial a_t} h_t^T"
    claim = judged(f"{COLUMNS}\n$${wrong}$$\n").claims[-1]
    assert claim.right_form == r"\sum_{t=1}^T \frac{\partial L}{\partial a_t} h_{t-1}^T"
    assert "it holds with" in claim.explanation


def test_a_variant_inherits_and_a_claim_goes_to_the_nearest() -> None:
    gated = r"""## Leaky
$$h_t = \tfrac{1}{2} h_{t-1} + \tfrac{1}{2} \tanh(a_t)$$
"""
    simple = r"$$\frac{\partial h_t}{\partial h_{t-1}} = \operatorname{diag}(1 - h_t^2) W$$"
    assert verdicts(f"{COLUMNS}\n{simple}\n{gated}\n{simple}\n")[0] == "PASS"
    assert verdicts(f"{COLUMNS}\n{simple}\n{gated}\n{simple}\n")[1] != "PASS"


def test_a_prime_is_at_the_argument_or_of_the_output_by_the_claims_of_the_document() -> None:
    model = r"""$$h_t = f(W h_{t-1} + U x_t)$$
$$L = \sum_{t=1}^T \ell(h_t, y_t)$$
"""
    output = r"$$\frac{\partial h_t}{\partial h_{t-1}} = \operatorname{diag}(f'(h_t)) W$$"
    argument = r"$$\frac{\partial h_t}{\partial h_{t-1}} = \operatorname{diag}(f'(W h_{t-1} + U x_t)) W$$"
    for claim in (output, argument):
        assert verdicts(f"{model}\n{claim}") == ["PASS"]
    assert sorted(verdicts(f"{model}\n{output}\n{argument}"))[0] != "PASS"
