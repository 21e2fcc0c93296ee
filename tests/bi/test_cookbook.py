import re

import duckdb
import pytest

from relocation_warehouse.bi.cookbook import (
    FOLDER,
    Answer,
    Question,
    answer,
    connect,
    differences,
    questions,
    read_expected,
    readme,
)

QUESTIONS = questions()


@pytest.fixture(scope="module")
def connection(published):
    with connect(published / "warehouse.duckdb") as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.name)
def test_the_published_file_gives_the_committed_answer(connection, question):
    result = answer(connection, question)
    assert result.rows, f"{question.name} has an empty answer"
    assert differences(result, read_expected(question)) == []


def test_the_cookbook_asks_at_least_fifteen_questions_in_two_languages():
    assert len(QUESTIONS) >= 15
    for question in QUESTIONS:
        assert question.title_en.isascii(), question.name
        assert re.search("[一-鿿]", question.title_zh), question.name


def test_the_page_and_the_answers_belong_to_the_questions():
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == readme(QUESTIONS)
    assert {p.stem for p in (FOLDER / "expected").glob("*.csv")} == {q.name for q in QUESTIONS}


def test_every_answer_from_households_says_that_they_are_made_up():
    household = re.compile(
        r"\b(capital|integration|analysis)\.\w+|\b(coordination|capital_changes|metric_by_region)\("
    )
    asked = [q for q in QUESTIONS if household.search(q.sql)]
    assert len(asked) > 10
    assert [q.name for q in asked if "is_synthetic" not in read_expected(q).columns] == []


def test_a_different_number_is_seen_and_a_rounding_difference_is_not():
    expected = Answer(("region", "value"), (("a", "0.5"), ("b", None)))
    assert differences(Answer(("region", "value"), (("a", "0.5000001"), ("b", None))), expected) == []
    assert differences(Answer(("region", "value"), (("a", "0.50001"), ("b", None))), expected) == [
        "row 1, value: '0.50001', expected '0.5'"
    ]
    assert differences(Answer(("region", "value"), (("a", "0.5"), ("b", "0"))), expected)
    assert differences(Answer(("region", "value"), (("a", "0.5"),)), expected) == ["1 rows, expected 2"]
    assert differences(Answer(("region", "mean"), expected.rows), expected)


def test_a_question_without_its_two_titles_is_refused(tmp_path):
    (tmp_path / "01_bare.sql").write_text("-- only one line\nselect 1;\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"01_bare\.sql"):
        questions(tmp_path)


def test_reserved_words_need_their_quotes(tmp_path):
    path = tmp_path / "small.duckdb"
    with duckdb.connect(str(path)) as writer:
        writer.execute('create schema s; create table s.t ("natural" double); insert into s.t values (1)')
    with duckdb.connect(str(path), read_only=True) as reader:
        quoted = Question("q", "", "", "", 'select avg("natural") as m from s.t')
        assert answer(reader, quoted).rows == (("1",),)
        with pytest.raises(duckdb.ParserException):
            reader.execute("select natural from s.t")
