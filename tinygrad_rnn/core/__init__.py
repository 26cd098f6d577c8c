"""The engine: a graph that records itself, and its derivatives. Imports numpy only. To be read in this order:

1. `errors`, `scope`: what goes wrong, in words; where in the model, and at which time step, a node is made.
2. `primitive`, `tensor`, `declare`: one operation with its derivative; a value that remembers how it was computed; how
   an operation is declared and applied.
3. `ops.identity`, `ops.elementwise`: the first tables, and how a node gets its role. The others are read like a
   dictionary: `ops.reductions`, `ops.contractions`, `ops.shaping`, `ops.indexing`, `ops.special`, and what is composed
   of these: `ops.joining`, `ops.ordering`, `ops.statistics`, `ops.linalg`.
4. `graph`, `backward`, `autodiff`: the graph as something to look at; the walk backwards; gradients.
5. `forward`, `functional`: the walk forwards; `grad`, `vjp`, `jvp`, `jacobian` and `hessian` of functions.
6. `custom`, `kinks`, `copies`: a rule that a user declares; second derivatives where a length is 0; copies of nodes.
7. `loop`: the recurrence behind an unfolded graph, for any length.

How numpy finds all this stands in `signatures`, `spellings` and `methods`; when a value leaves the graph in `looks`.
`memory`, `returns` and `atomic_files` are tools that other packages share.
"""

from . import copies, methods  # attach what a Tensor can do; the tables register numpy's functions
from .ops import joining, linalg, ordering, special, statistics
