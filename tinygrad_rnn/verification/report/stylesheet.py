"""How the page of a report looks: dark text on white, on a wide screen, on a narrow one, and on paper.

Verdicts have a colour and a sign; what a sign says stands in `html`.
"""

CSS = """
:root { --ink: #1b1b1f; --faint: #5c5c66; --rule: #d9d9de; --pass: #17633a; --fail: #b3190f; --open: #805300;
  --tint: #fdecea; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1320px; padding: 1.5rem 1.75rem 3rem; background: #fff; color: var(--ink);
  font: 16px/1.5 Charter, "Bitstream Charter", Georgia, "DejaVu Serif", serif; }
h1 { font-size: 1.6rem; margin: 0; font-weight: 600; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; font-weight: 600; overflow-wrap: anywhere; }
h2 small, header p, .line, .figures, .written, figcaption, .version { color: var(--faint); }
h2 small { font-weight: 400; }
header { border-bottom: 2px solid var(--ink); padding-bottom: .6rem; margin-bottom: 1rem; }
header p { margin: .2rem 0 0; overflow-wrap: anywhere; }
p { margin: .35rem 0; }
code, pre { font: .84em/1.45 "DejaVu Sans Mono", Menlo, Consolas, monospace; }
pre { overflow-x: auto; border: 1px solid var(--rule); padding: .75rem; }
code { overflow-wrap: anywhere; }
math { font-family: "Latin Modern Math", "STIX Two Math", "Cambria Math", "Libertinus Math", math, serif;
  font-size: 1.08em; }
.badge { font: 600 .8rem/1.4 system-ui, "Helvetica Neue", "DejaVu Sans", sans-serif; border: 1.5px solid;
  border-radius: 3px; padding: .05rem .4rem; white-space: nowrap; vertical-align: .12em; }
.pass .badge, .badge.pass, .strip .pass { color: var(--pass); }
.badge.pass { border-color: transparent; padding-left: 0; padding-right: 0; }
.badge.fail, .strip .fail { color: var(--fail); }
.badge.open, .badge.none, .strip .open { color: var(--open); }
h1 .badge.pass { border-color: currentcolor; padding: .05rem .4rem; }
.contents { padding-left: 1.4rem; }
.contents li { margin: .3rem 0; }

.sheet { display: grid; grid-template-columns: minmax(0, 1fr); gap: 0 2.25rem; }
.row { display: grid; grid-template-columns: 5.6rem minmax(0, 1fr) auto; gap: 0 1rem; align-items: start;
  padding: .55rem 0; border-bottom: 1px solid var(--rule); }
.row.fail { border-left: 4px solid var(--fail); padding-left: .75rem; margin-left: calc(-.75rem - 4px);
  break-inside: avoid; }
.verdict { display: flex; flex-direction: column; align-items: flex-start; padding-top: .5rem; }
.line { font-size: .82rem; }
.formula { margin: 0; padding: .35rem 0 .15rem; overflow-x: auto; overflow-y: hidden; line-height: 1.9; }
.piece { display: inline-flex; flex-direction: column; align-items: flex-start; vertical-align: baseline;
  margin-bottom: .25rem; }
.piece small { color: var(--fail); font-size: .86rem; line-height: 1.5; align-self: center; padding: .1rem .3rem 0; }
.piece small.right { color: var(--pass); }
.absent { border: 1.5px dashed var(--fail); border-radius: 3px; padding: 0 .3rem; }
mrow.wrong { background: var(--tint); border-bottom: 3px solid var(--fail); }
mrow.within { border-bottom: 1.5px dotted var(--fail); }
.written { font-size: .92rem; }
.figures { font-size: .88rem; }
.strip { list-style: none; display: flex; flex-wrap: wrap; gap: 3px; margin: 0; padding: .35rem 0 0; }
.strip li { min-width: 1.75rem; padding: 0 .25rem; text-align: center; border: 1px solid; border-radius: 3px;
  font: .8rem/1.25 system-ui, "DejaVu Sans", sans-serif; }
.strip .fail { background: var(--tint); border-width: 2px; }
.strip i { display: block; font-style: normal; font-size: .68rem; color: var(--faint); }
figure { margin: 1.25rem 0 0; min-width: 0; }
figure > div { overflow-x: auto; }
figure svg { display: block; width: var(--width); max-width: 100%; min-width: calc(var(--width) * .7);
  height: auto; margin: 0 auto; }
figcaption { font-size: .88rem; text-align: center; margin-top: .4rem; }
.foot { margin-top: 1.5rem; border-top: 2px solid var(--ink); padding-top: .6rem; font-size: .94rem; }

@media (min-width: 1080px) {
  .sheet { grid-template-columns: minmax(0, 1.35fr) minmax(0, 1fr); }
  .sheet.wide { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
  figure { position: sticky; top: 1rem; align-self: start; margin-top: .5rem; }
}
@media (max-width: 620px) {
  body { padding: 1rem .9rem 2rem; font-size: 15px; }
  .row { grid-template-columns: auto 1fr; }
  .row.fail { margin-left: -.6rem; padding-left: calc(.6rem - 4px); }
  .verdict { flex-direction: row; gap: .5rem; align-items: baseline; padding-top: 0; }
  .strip { grid-row: 1; grid-column: 2; justify-content: flex-end; padding-top: 0; }
  .equation { grid-column: 1 / -1; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  .sheet, .sheet.wide { display: block; }
  .row, figure { break-inside: avoid; }
  .formula, figure > div { overflow: visible; }
  figure svg { max-width: 100%; min-width: 0; max-height: 22cm; }
}
"""
