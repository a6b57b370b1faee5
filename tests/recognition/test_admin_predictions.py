from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from recognition.models import ModelVersion, Prediction, Recognizer, Review
from recognition.reviewing import retract_review, review_predictions
from tests.recognition.predictions import make_prediction

LIST = "admin:recognition_prediction_changelist"
PREDICTED, SUGGESTED, REVIEWED, AGREED, DISPUTED = Prediction.State


@pytest.fixture
def version(add_version: Callable[..., ModelVersion]) -> ModelVersion:
    return add_version()


@pytest.fixture
def reviewer(db: None) -> User:
    user = User.objects.create_user("rosa", password="secret", is_staff=True)
    user.groups.add(Group.objects.get(name="reviewers"))
    return user


@pytest.fixture
def reviewer_client(client: Client, reviewer: User) -> Client:
    client.force_login(reviewer)
    return client


def act(client: Client, action: str, *predictions: Prediction, **fields: Any) -> Any:
    ids = [str(prediction.pk) for prediction in predictions]
    return client.post(
        reverse(LIST), {"action": action, ACTION_CHECKBOX_NAME: ids, **fields}, follow=True
    )


def texts(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def change_url(prediction: Prediction) -> str:
    return reverse("admin:recognition_prediction_change", args=[prediction.pk])


# The list


def test_the_list_shows_picture_label_and_figures(
    admin_client: Client, version: ModelVersion
) -> None:
    prediction = make_prediction(version)

    page = admin_client.get(reverse(LIST))

    assert page.status_code == 200
    content = page.content.decode()
    assert f'src="{reverse("recognition:picture", args=[prediction.pk])}"' in content
    assert 'loading="lazy"' in content
    assert "70.0%" in content
    assert "50.0%" in content
    assert "colors v1" in content


def test_a_corrected_label_stands_beside_the_predicted_one(
    admin_client: Client, version: ModelVersion
) -> None:
    make_prediction(version, state=REVIEWED, reviewed_label="green")
    make_prediction(version, state=SUGGESTED, suggested_at=timezone.now(), suggested_label="blue")

    content = admin_client.get(reverse(LIST)).content.decode()

    assert '<s>red</s> <strong class="lacewing-label">green</strong>' in content
    assert '<em class="lacewing-label">blue?</em>' in content


def test_a_label_that_is_markup_is_escaped(admin_client: Client, version: ModelVersion) -> None:
    evil = '"><script>alert(1)</script>'
    prediction = make_prediction(version, state=REVIEWED, reviewed_label=evil)

    for url in (reverse(LIST), change_url(prediction)):
        assert evil not in admin_client.get(url).content.decode()


def test_the_list_takes_as_many_queries_for_fifty_as_for_one(
    admin_client: Client, version: ModelVersion, django_assert_num_queries: Any
) -> None:
    make_prediction(version)
    with django_assert_num_queries(9) as captured:
        admin_client.get(reverse(LIST))
    assert not any("probabilities" in query["sql"] for query in captured.captured_queries)

    for _ in range(60):
        make_prediction(version)
    with django_assert_num_queries(9):
        page = admin_client.get(reverse(LIST))
    assert len(page.context["cl"].result_list) == 50


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"red", "green", "blue"}),
        ("label=green", {"green"}),
        ("label=unheard", set()),
        ("state__exact=reviewed", {"blue"}),
        ("margin_band=narrow", {"green"}),
        ("margin_band=middle", {"blue"}),
        ("margin_band=wide", {"red"}),
        ("margin_band=none", set()),
        ("version=abc", set()),
        ("q=gre", {"green"}),
        ("q=aubergine", {"blue"}),
    ],
)
def test_filters_and_search_narrow_the_list(
    query: str, expected: set[str], admin_client: Client, version: ModelVersion
) -> None:
    make_prediction(version)
    make_prediction(version, label="green", margin=0.05)
    make_prediction(version, label="blue", margin=0.3, state=REVIEWED, reviewed_label="aubergine")

    page = admin_client.get(f"{reverse(LIST)}?{query}")

    assert {prediction.label for prediction in page.context["cl"].result_list} == expected


def test_version_and_label_filters_offer_what_the_chosen_recognizer_has(
    admin_client: Client, version: ModelVersion, add_version: Callable[..., ModelVersion]
) -> None:
    other = Recognizer.objects.create(slug="shapes", name="Shapes")
    ModelVersion.objects.create(
        recognizer=other, number=1, directory="shapes/v1", labels=["round"], architecture="cnn"
    )
    second = add_version()
    make_prediction(version)
    make_prediction(second)
    recognizer_id = version.recognizer_id

    page = admin_client.get(f"{reverse(LIST)}?recognizer__id__exact={recognizer_id}")
    offered = [list(spec.lookup_choices) for spec in page.context["cl"].filter_specs[2:4]]
    assert offered[0] == [(str(second.pk), "colors v2"), (str(version.pk), "colors v1")]
    assert [label for label, _text in offered[1]] == ["blue", "green", "red"]

    page = admin_client.get(f"{reverse(LIST)}?version={second.pk}")
    assert [p.model_version_id for p in page.context["cl"].result_list] == [second.pk]


def test_a_prediction_is_found_by_its_id(admin_client: Client, version: ModelVersion) -> None:
    wanted, _other = make_prediction(version), make_prediction(version)

    page = admin_client.get(reverse(LIST), {"q": f" {wanted.pk} "})

    assert list(page.context["cl"].result_list) == [wanted]


# Reviewing many


def test_confirming_reviews_with_the_predicted_label(
    reviewer_client: Client, reviewer: User, version: ModelVersion
) -> None:
    first, second = make_prediction(version), make_prediction(version)

    response = act(reviewer_client, "confirm_predicted_label", first)

    assert texts(response) == ["1 review written."]
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, first.reviewed_label) == (REVIEWED, "red")
    assert second.state == PREDICTED
    review = Review.objects.get()
    assert (review.prediction, review.reviewer, review.label) == (first, reviewer, "red")


def test_confirming_in_bulk_undoes_no_correction(
    reviewer_client: Client, version: ModelVersion
) -> None:
    corrected = make_prediction(version, state=REVIEWED, reviewed_label="green")
    plain = make_prediction(version)

    response = act(reviewer_client, "confirm_predicted_label", corrected, plain)

    corrected.refresh_from_db()
    assert corrected.reviewed_label == "green"
    assert [review.prediction for review in Review.objects.all()] == [plain]
    assert texts(response)[0] == "Left alone, reviewed before: 1."


def test_each_suggestion_is_accepted_with_its_own_label(
    reviewer_client: Client, version: ModelVersion
) -> None:
    blue = make_prediction(
        version, state=SUGGESTED, suggested_at=timezone.now(), suggested_label="blue"
    )
    green = make_prediction(
        version, state=SUGGESTED, suggested_at=timezone.now(), suggested_label="green"
    )
    plain = make_prediction(version)

    response = act(reviewer_client, "accept_suggestion", blue, green, plain)

    labels = dict(Prediction.objects.values_list("pk", "reviewed_label"))
    assert labels == {blue.pk: "blue", green.pk: "green", plain.pk: ""}
    assert texts(response)[0] == "Left alone, without a suggestion that waits: 1."


def test_set_label_asks_on_a_page_of_its_own_first(
    reviewer_client: Client, version: ModelVersion
) -> None:
    prediction = make_prediction(version)

    page = act(reviewer_client, "set_label", prediction)

    assert [value for value, _text in page.context["form"].fields["label"].choices] == [
        "",
        "blue",
        "green",
        "red",
    ]
    assert str(prediction.pk) in page.content.decode()
    assert not Review.objects.exists()


@pytest.mark.parametrize(
    ("fields", "label"),
    [({"label": "green"}, "green"), ({"new_label": " mauve "}, "mauve")],
)
def test_set_label_reviews_the_selection(
    fields: dict[str, str], label: str, reviewer_client: Client, version: ModelVersion
) -> None:
    predictions = [make_prediction(version) for _ in range(3)]

    response = act(reviewer_client, "set_label", *predictions[:2], apply="1", **fields)

    assert texts(response) == ["2 reviews written."]
    assert sorted(Prediction.objects.values_list("reviewed_label", flat=True)) == ["", label, label]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "exactly one of the three"),
        ({"label": "green", "new_label": "mauve"}, "exactly one of the three"),
        ({"new_label": "Green"}, "“green” exists"),
        ({"label": "unheard"}, "unheard is not one of the available choices"),
        ({"new_label": "x" * 201}, "at most 200 characters"),
    ],
)
def test_a_label_that_cannot_be_meant_is_asked_again(
    fields: dict[str, str], message: str, reviewer_client: Client, version: ModelVersion
) -> None:
    prediction = make_prediction(version)

    page = act(reviewer_client, "set_label", prediction, apply="1", **fields)

    assert message in page.content.decode()
    assert not Review.objects.exists()


def test_a_label_that_a_reviewer_made_is_offered_from_then_on(
    reviewer_client: Client, version: ModelVersion
) -> None:
    make_prediction(version, state=REVIEWED, reviewed_label="mauve")

    page = act(reviewer_client, "set_label", make_prediction(version))

    assert ("mauve", "mauve") in page.context["form"].fields["label"].choices


def test_set_label_refuses_a_selection_of_two_recognizers(
    reviewer_client: Client, version: ModelVersion
) -> None:
    other = Recognizer.objects.create(slug="shapes", name="Shapes")
    round_shapes = ModelVersion.objects.create(
        recognizer=other, number=1, directory="shapes/v1", labels=["a", "b", "c"]
    )
    predictions = make_prediction(version), make_prediction(round_shapes)

    response = act(reviewer_client, "set_label", *predictions, apply="1", label="red")

    assert texts(response) == [
        "Received predictions of Colours, Shapes: set a label for one recognizer at a time."
    ]
    assert not Review.objects.exists()


def test_a_thousand_are_reviewed_in_a_few_queries(
    reviewer_client: Client, version: ModelVersion, django_assert_max_num_queries: Any
) -> None:
    rows = [make_prediction(version)]
    for number in range(999):
        row = Prediction.objects.get(pk=rows[0].pk)
        row.pk, row.picture = None, f"pictures/{number}.jpg"
        row.id = Prediction._meta.pk.get_default()
        rows.append(row)
    Prediction.objects.bulk_create(rows[1:])

    with django_assert_max_num_queries(40):
        reviewer_client.post(
            reverse(LIST),
            {
                "action": "confirm_predicted_label",
                ACTION_CHECKBOX_NAME: str(rows[0].pk),
                "select_across": "1",
            },
        )

    assert Review.objects.count() == 1000
    assert Prediction.objects.reviewed().count() == 1000


def test_the_page_for_a_whole_list_keeps_the_choice_of_all(
    reviewer_client: Client, version: ModelVersion
) -> None:
    shown, _other = make_prediction(version), make_prediction(version)

    page = act(reviewer_client, "set_label", shown, select_across="1")
    assert page.context["count"] == 2
    assert '<input type="hidden" name="select_across" value="1">' in page.content.decode()

    act(reviewer_client, "set_label", shown, select_across="1", apply="1", label="blue")
    assert set(Prediction.objects.values_list("reviewed_label", flat=True)) == {"blue"}


# One prediction


def test_the_page_of_a_prediction_shows_every_class_and_the_map(
    admin_client: Client, version: ModelVersion
) -> None:
    prediction = make_prediction(version)

    page = admin_client.get(change_url(prediction))

    content = page.content.decode()
    assert page.context["classes"] == [("red", 0.7), ("green", 0.2), ("blue", 0.1)]
    assert reverse("recognition:activation", args=[prediction.pk]) in content
    assert "style=" not in content.replace('rel="stylesheet"', "")
    assert 'name="_save"' not in content


def test_a_prediction_without_a_map_has_no_switch(
    admin_client: Client, version: ModelVersion
) -> None:
    prediction = make_prediction(version, activation_map=None)
    assert "activation-switch" not in admin_client.get(change_url(prediction)).content.decode()


def test_a_label_is_set_on_the_page_itself(
    reviewer_client: Client, reviewer: User, version: ModelVersion
) -> None:
    prediction = make_prediction(version)

    response = reviewer_client.post(change_url(prediction), {"label": "green"})

    assert response.status_code == 302
    assert response["Location"] == change_url(prediction)
    prediction.refresh_from_db()
    assert (prediction.state, prediction.reviewed_label) == (REVIEWED, "green")
    assert Review.objects.get().reviewer == reviewer


def test_saving_may_lead_on_to_the_least_sure_that_waits(
    reviewer_client: Client, version: ModelVersion
) -> None:
    prediction = make_prediction(version)
    make_prediction(version, margin=0.4)
    unsure = make_prediction(version, margin=0.1)
    make_prediction(version, margin=0.0, state=REVIEWED, reviewed_label="red")

    response = reviewer_client.post(
        f"{change_url(prediction)}?_changelist_filters=state__exact%3Dpredicted",
        {"label": "red", "_next": "1"},
    )

    assert response["Location"] == (
        f"{change_url(unsure)}?_changelist_filters=state__exact%3Dpredicted"
    )


def test_where_none_waits_the_page_says_so(reviewer_client: Client, version: ModelVersion) -> None:
    prediction = make_prediction(version)

    response = reviewer_client.post(
        change_url(prediction), {"label": "red", "_next": "1"}, follow=True
    )

    assert "No other prediction of this recognizer waits for a review." in texts(response)


def test_a_refused_label_changes_nothing(reviewer_client: Client, version: ModelVersion) -> None:
    prediction = make_prediction(version)

    response = reviewer_client.post(
        change_url(prediction), {"label": "red", "new_label": "mauve"}, follow=True
    )

    assert texts(response) == [
        "Pick a label, type a new one or say none of them: exactly one of the three."
    ]
    prediction.refresh_from_db()
    assert prediction.state == PREDICTED


def test_a_label_with_control_characters_is_refused_by_the_service(
    reviewer_client: Client, version: ModelVersion
) -> None:
    prediction = make_prediction(version)

    response = reviewer_client.post(change_url(prediction), {"new_label": "a\u202eb"}, follow=True)

    assert "printable" in texts(response)[0]
    assert not Review.objects.exists()


def test_a_prediction_that_is_gone_is_not_found(reviewer_client: Client) -> None:
    url = reverse(
        "admin:recognition_prediction_change", args=["00000000-0000-4000-8000-000000000000"]
    )
    assert reviewer_client.post(url, {"label": "red"}).status_code == 404


# Rights


@pytest.mark.django_db
def test_reviewers_look_and_review_and_nothing_else() -> None:
    codenames = Permission.objects.filter(group__name="reviewers").values_list(
        "codename", flat=True
    )
    assert set(codenames) == {
        "view_recognizer",
        "view_modelversion",
        "view_prediction",
        "view_review",
        "review_prediction",
    }


def test_a_reviewer_sees_no_delete_action(reviewer_client: Client, version: ModelVersion) -> None:
    make_prediction(version)

    page = reviewer_client.get(reverse(LIST))

    names = [name for name, _text in page.context["action_form"].fields["action"].choices]
    assert names == ["", "confirm_predicted_label", "accept_suggestion", "set_label"]


def test_a_reviewer_can_neither_add_nor_delete(
    reviewer_client: Client, version: ModelVersion
) -> None:
    prediction = make_prediction(version)

    for name, args in (("add", []), ("delete", [prediction.pk])):
        url = reverse(f"admin:recognition_prediction_{name}", args=args)
        assert reviewer_client.post(url, {"post": "yes"}).status_code == 403
    act(reviewer_client, "delete_selected", prediction, post="yes")
    assert Prediction.objects.filter(pk=prediction.pk).exists()


def test_who_may_only_look_cannot_review(client: Client, version: ModelVersion) -> None:
    user = User.objects.create_user("otto", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_prediction"))
    client.force_login(user)
    prediction = make_prediction(version)

    act(client, "confirm_predicted_label", prediction)
    assert client.post(change_url(prediction), {"label": "red"}).status_code == 403
    assert "lacewing-review" not in client.get(change_url(prediction)).content.decode()
    assert not Review.objects.exists()


def test_deleting_takes_reviews_and_picture_along(
    admin_client: Client, version: ModelVersion, django_capture_on_commit_callbacks: Any
) -> None:
    prediction = make_prediction(version)
    act(admin_client, "confirm_predicted_label", prediction)
    url = reverse("admin:recognition_prediction_delete", args=[prediction.pk])

    with django_capture_on_commit_callbacks(execute=True):
        assert admin_client.post(url, {"post": "yes"}).status_code == 302

    assert not Prediction.objects.exists()
    assert not Review.objects.exists()
    assert not prediction.picture_path.exists()


def test_deleting_a_selection_takes_every_picture_along(
    admin_client: Client, version: ModelVersion, django_capture_on_commit_callbacks: Any
) -> None:
    predictions = [make_prediction(version) for _ in range(3)]

    with django_capture_on_commit_callbacks(execute=True):
        act(admin_client, "delete_selected", *predictions[:2], post="yes")

    assert [p.picture_path.exists() for p in predictions] == [False, False, True]
    assert Prediction.objects.get() == predictions[2]


# Reviews


def test_reviews_are_listed_and_nobody_changes_them(
    admin_client: Client, version: ModelVersion
) -> None:
    prediction = make_prediction(version)
    act(admin_client, "confirm_predicted_label", prediction)
    review = Review.objects.get()

    page = admin_client.get(reverse("admin:recognition_review_changelist"))
    assert list(page.context["cl"].result_list) == [review]
    url = reverse("admin:recognition_review_change", args=[review.pk])
    assert change_url(prediction) in admin_client.get(url).content.decode()
    assert admin_client.post(url, {"label": "green"}).status_code == 403
    delete_url = reverse("admin:recognition_review_delete", args=[review.pk])
    assert admin_client.post(delete_url, {"post": "yes"}).status_code == 403
    assert admin_client.get(reverse("admin:recognition_review_add")).status_code == 403
    assert Review.objects.get().label == "red"


# States beyond one review


def test_none_of_the_classes_is_an_answer_on_the_page_itself(
    reviewer_client: Client, version: ModelVersion
) -> None:
    prediction = make_prediction(version)

    reviewer_client.post(change_url(prediction), {"is_none": "on"})

    prediction.refresh_from_db()
    assert (prediction.state, prediction.reviewed_label) == (REVIEWED, "")
    content = reviewer_client.get(change_url(prediction)).content.decode()
    assert "Reviewed as <strong>none of the classes</strong>" in content
    assert "checked" in content.split('name="is_none"')[1].split(">")[0]


def test_a_suggestion_of_none_of_the_classes_is_accepted(
    reviewer_client: Client, version: ModelVersion
) -> None:
    prediction = make_prediction(version, state=SUGGESTED, suggested_at=timezone.now())

    assert "none of the classes?" in reviewer_client.get(reverse(LIST)).content.decode()
    act(reviewer_client, "accept_suggestion", prediction)

    prediction.refresh_from_db()
    assert (prediction.state, prediction.reviewed_label) == (REVIEWED, "")


def test_agreement_and_dispute_are_told(
    reviewer_client: Client, reviewer: User, version: ModelVersion
) -> None:
    otto = User.objects.create_user("otto")
    prediction = make_prediction(version)
    review_predictions([prediction], "blue", reviewer)
    review_predictions([prediction], "green", otto)

    content = reviewer_client.get(change_url(prediction)).content.decode()
    assert "Reviewers disagree" in content
    assert "reviewers disagree" in reviewer_client.get(reverse(LIST)).content.decode()

    reviewer_client.post(change_url(prediction), {"label": "green"})
    content = reviewer_client.get(change_url(prediction)).content.decode()
    assert "Reviewers agree on <strong>green</strong>" in content


def test_the_record_tells_retractions_and_none_of_the_classes(
    reviewer_client: Client, reviewer: User, version: ModelVersion
) -> None:
    prediction = make_prediction(version)
    review_predictions([prediction], "", reviewer)
    retract_review(prediction, reviewer)

    url = reverse("admin:recognition_review_changelist")
    for content in (
        reviewer_client.get(url).content.decode(),
        reviewer_client.get(change_url(prediction)).content.decode(),
    ):
        assert "took it back" in content
        assert "none of the classes" in content
