"""What is said of a wrong claim: the change that makes it right; and when a claim that differs is not called wrong."""

from __future__ import annotations

import pytest

from tinygrad_rnn.language.syntax.source import Source
from tinygrad_rnn.notes.verify_document import verify_document

MODEL = r"""The state is $h_t = \tanh(a_t)$ with $a_t = W h_{t-1} + U x_t$, the loss $L = \sum_{t=1}^T \ell(h_t, y_t)$.
$$\frac{\partial L}{\partial a_t} = \frac{\partial L}{\partial h_t} \odot (1 - h_t^2)$$
$$\frac{\partial L}{\partial U} = \sum_{t=1}^T \frac{\partial L}{\partial a_t} x_t^\top$$
"""


def told(text: str) -> tuple[str, str]:
    """The verdict on the last claim, and the right form it is given."""
    claim = verify_document(Source(text, "n.md")).found.claims[-1]
    return claim.verdict, claim.right_form


def verdicts(text: str) -> list[tuple[str, str]]:
    return [(claim.verdict, claim.explanation) for claim in verify_document(Source(text, "n.md")).found.claims]


@pytest.mark.parametrize(
    ("claim", "mend"),
    [
        (r"\frac{\partial L}{\partial W} = \sum_{t=1}^T \frac{\partial L}{\partial a_t} h_t^\top", r"h_{t-1}^\top"),
        (r"\frac{\partial L}{\partial W} = \frac{\partial L}{\partial a_t} h_{t-1}^\top", r"\sum_{t=1}^T \frac"),
        (r"\frac{\partial L}{\partial W} = \sum_{t=1}^T \frac{\partial L}{\partial h_t} h_{t-1}^\top", r"a_t} h_{t-1}"),
        (r"\frac{\partial L}{\partial W} = -\sum_{t=1}^T \frac{\partial L}{\partial a_t} h_{t-1}^\top", "h_{t-1}"),
        (r"\frac{\partial L}{\partial a_t} = \frac{\partial L}{\partial h_t} \odot (1 - h_t)", "(1 - h_t^2)"),
        (r"\frac{\partial L}{\partial a_t} = \frac{\partial L}{\partial h_t}", "(1 - h_t^2)"),
    ],
)  # fmt: skip
def test_a_wrong_claim_is_told_with_the_change_that_makes_it_right(claim: str, mend: str) -> None:
    verdict, right = told(f"{MODEL}$${claim}$$\n")
    assert verdict == "FAIL"
    assert mend in right


def test_where_little_else_holds_a_difference_is_no_mistake() -> None:
    """Three claims fail and one change mends none of them: more likely the model was misunderstood."""
    strange = r"$$\frac{\partial L}{\partial W} = W^3 U U^\top$$" + "\n"
    found = verdicts(MODEL.split("$$")[0] + strange * 3)
    assert {verdict for verdict, _ in found} == {"INCONCLUSIVE"}
    assert verdicts(MODEL + strange)[-1][0] == "FAIL"


def test_a_gradient_without_its_sum_beside_others_with_theirs_is_wrong() -> None:
    text = r"$h_t = \tanh(a_t)$, $a_t = W h_{t-1} + U x_t$, $L = \sum_t \ell(h_t, z_t)$. "
    text += r"$da_t = \frac{\partial L}{\partial a_t}$."
    text += "\n" + r"$$dU = \sum_{t=1}^T da_t x_t^\top$$" + "\n"
    summed = r"$$dW = \sum_{t=1}^T da_t h_{t-1}^\top$$"
    assert [verdict for verdict, _ in verdicts(text + summed)][-2:] == ["PASS", "PASS"]
    assert verdicts(text + r"$$dW = da_t h_{t-1}^\top$$")[-1][0] == "FAIL"


def test_a_step_that_is_counted_makes_no_number_of_a_matrix() -> None:
    """`t = 1` is no value of a parameter: V stays a matrix, and its transpose is missed."""
    text = (
        r"For $t = 1, \dots, T$, $h_t = \tanh(W h_{t-1} + U x_t)$, $y_t = V h_t$, $L = \sum_t \ell(y_t, z_t)$." + "\n"
    )
    text += r"$$\frac{\partial L}{\partial V} = \sum_{t=1}^T \frac{\partial L}{\partial y_t} h_t^\top$$" + "\n"
    assert (
        verdicts(text + r"$$\frac{\partial L}{\partial h_T} = V^\top \frac{\partial L}{\partial y_T}$$")[-1][0]
        == "PASS"
    )
    assert verdicts(text + r"$$\frac{\partial L}{\partial h_T} = V \frac{\partial L}{\partial y_T}$$")[-1][0] != "PASS"


NUMBERS = r"""One number a step: $h_t = w h_{t-1} + x_t$, $L = \frac{1}{2} h_2^2$.

Take $w = 0.5$, $x_1 = 1$, $x_2 = 2$, $h_0 = 0$. Then
$$h_2 = 0.5 \cdot 1 + 2 = 2.5$$
"""


@pytest.mark.parametrize(("number", "verdict"), [("2.50", "PASS"), ("2.49", "FAIL"), ("2.5001", "FAIL")])
def test_a_number_is_right_within_its_digits(number: str, verdict: str) -> None:
    assert [word for word, _ in verdicts(NUMBERS.replace("2.5$", f"{number}$"))][-1] == verdict
