"""What products were made of, as a graph."""

import re

import pytest

from ndmapper.report.graph import make_graph


@pytest.fixture
def graph(entry, raw, product):
    """A product of two raw files, one used twice, and a calibration."""
    bias = entry("bias.fits", [raw("z.fits", "sha256:zz")], step="make_bias")
    sub = entry(
        "b1.fits",
        [raw("r.fits")],
        step="subtract",
        calibrations={"bias": product(bias)},
    )
    last = entry(
        "c1.fits", [product(sub), product(bias)], step="join",
        references={"table": raw("t.dat", "sha256:tt")},
    )  # fmt: skip
    return make_graph({"c1.fits": [bias, sub, last]})


def test_tree_shows_each_file_below_its_product_and_details_once(graph):
    assert graph.tree().splitlines() == [
        "c1.fits <- join",
        "|-- b1.fits <- subtract",
        "|   |-- r.fits",
        "|   `-- bias.fits (bias) <- make_bias",
        "|       `-- z.fits",
        "|-- bias.fits <- make_bias ...",
        "`-- t.dat (table)",
    ]


def test_mermaid_has_a_node_for_each_file_and_roles_on_edges(graph):
    lines = graph.mermaid().splitlines()
    assert lines[0] == "flowchart LR"
    assert '    n1["bias.fits<br/>make_bias"]' in lines
    assert '    n1 --> |"bias"| n3' in lines
    assert len([line for line in lines if "-->" in line]) == 6


def test_dot_is_one_digraph(graph):
    text = graph.dot()
    assert text.startswith("digraph record {")
    assert text.endswith("}")
    assert '    n1 -> n3 [label="bias"];' in text


def test_json_has_nodes_edges_and_targets(graph):
    found = graph.as_dict()
    assert [node["name"] for node in found["nodes"]] == [
        "z.fits", "bias.fits", "r.fits", "b1.fits", "t.dat", "c1.fits",
    ]  # fmt: skip
    assert found["targets"] == [5]
    assert {"from": 4, "to": 5, "role": "table"} in found["edges"]


def test_graph_marks_what_was_in_memory_and_what_was_edited(entry, raw, product):
    first = entry("a.fits", [raw("x.fits", memory=True)])
    last = entry("a.fits", [product(first)], step="edited", engine="user")
    graph = make_graph({"a.fits": [first, last]})
    assert [node.kind for node in graph.nodes] == ["memory", "product", "edited"]
    assert "as it was in memory" in graph.tree()


def test_graph_of_two_products_shares_what_is_common(entry, raw, product):
    bias = entry("bias.fits", [raw("z.fits")], step="make_bias")
    one, two = (entry(f"{n}.fits", [product(bias)], step=f"s{n}") for n in "ab")
    graph = make_graph({"a.fits": [bias, one], "b.fits": [bias, two]})
    assert len(graph.nodes) == 4
    assert [graph.nodes[n].name for n in graph.targets] == ["a.fits", "b.fits"]


@pytest.mark.parametrize("name", ['a"]; n9 -->x["', "a\\", "a\nb", "</script>", 'x"]}'])
def test_graph_holds_hostile_names_only_as_text(entry, raw, name):
    graph = make_graph({name: [entry(name, [raw(name)], step=name)]})
    mermaid = graph.mermaid().splitlines()
    assert len(mermaid) == 4
    assert all(re.fullmatch(r'    n\d[(\[]+"[^"\[\]<>]*(<br/>[^"\[\]<>]*)?"[\])]+', m)
               for m in mermaid[1:3])  # fmt: skip
    dot = graph.dot().splitlines()
    assert len(dot) == 7
    assert all(re.fullmatch(r'    n\d \[label="([^"\\]|\\.)*"(, shape=ellipse)?\];', d)
               for d in dot[3:5])  # fmt: skip


def test_graph_deeper_than_the_stack_of_python_is_drawn(entry, raw, product):
    rows = [entry("p0.fits", [raw("x.fits")])]
    for n in range(1, 1500):
        rows.append(entry(f"p{n}.fits", [product(rows[-1])]))
    assert len(make_graph({"p": rows}).tree().splitlines()) == 1501


@pytest.fixture
def three(entry, raw, product):
    """Give the record of a sum of three files, with two calibrations that all share."""
    bias = entry("bias.fits", [raw(f"b{n}.fits", f"sha256:b{n}") for n in range(4)],
                 step="make_bias")  # fmt: skip
    rows = [
        entry(
            f"s{n}.fits", [raw(f"x{n}.fits", f"sha256:{n}")], step="subtract",
            calibrations={"bias": product(bias)},
        )
        for n in (1, 2, 3)
    ]  # fmt: skip
    total = entry("sum.fits", [product(row) for row in rows], step="total")
    return {"sum.fits": [bias, *rows, total]}


def test_files_that_were_made_alike_are_one_node_with_their_number(three):
    graph = make_graph(three)
    assert graph.tree().splitlines() == [
        "sum.fits <- total",
        "`-- s{1..3}.fits <- subtract (3 files)",
        "    |-- x{1..3}.fits",
        "    `-- bias.fits (bias) <- make_bias",
        "        `-- b{0..3}.fits",
    ]
    assert len(graph.edges) == 4


def test_each_file_is_a_node_where_that_is_asked_for(three):
    graph = make_graph(three, each=True)
    assert len(graph.nodes) == 3 + 4 + 3 + 2
    assert {node.count for node in graph.nodes} == {1}
    assert "|   `-- bias.fits (bias) <- make_bias" in graph.tree()


def test_outputs_of_one_run_are_nodes_of_their_own(entry, raw, product):
    rows = [
        entry(f"{name}-{n}.fits", [raw("x.fits")], output=f"{name}[{n}]", step="flat")
        for name in ("flat", "trace")
        for n in (1, 2, 3)
    ]
    last = entry(
        "o.fits", [raw("o_raw.fits")],
        calibrations={"flat": list(map(product, rows[:3])),
                      "trace": list(map(product, rows[3:]))},
    )  # fmt: skip
    assert make_graph({"o.fits": [*rows, last]}).tree().splitlines() == [
        "o.fits <- work",
        "|-- o_raw.fits",
        "|-- flat-{1..3}.fits (flat) <- flat (3 files)",
        "|   `-- x.fits",
        "`-- trace-{1..3}.fits (trace) <- flat (3 files)",
        "    `-- x.fits",
    ]


def test_raw_files_with_other_roles_or_uses_stay_apart(entry, raw):
    files = [raw(f"x{n}.fits", f"sha256:{n}", role=role)
             for n, role in enumerate(("sky", "sky", "sky", "dark"))]  # fmt: skip
    rows = [entry("a.fits", files, step="one")]
    assert make_graph({"a.fits": rows}).tree().splitlines() == [
        "a.fits <- one", "|-- x{0..2}.fits (sky)", "`-- x3.fits (dark)",
    ]  # fmt: skip
