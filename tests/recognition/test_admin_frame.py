"""What every page of the admin has in common: the policy, the sidebar, people, the language."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.test import Client, RequestFactory
from django.urls import resolve, reverse

from recognition.models import ModelVersion, Recognizer

LISTS = (
    "recognition_prediction",
    "recognition_review",
    "recognition_erasurereceipt",
    "recognition_recognizer",
    "recognition_modelversion",
    "recognition_trainingrun",
    "recognition_activation",
    "auth_user",
    "auth_group",
)

READ_BY_REVIEWERS = ("prediction", "review", "recognizer", "modelversion")


def directives(response: HttpResponse) -> dict[str, set[str]]:
    parts = (part.split() for part in response["Content-Security-Policy"].split(";"))
    return {name: set(sources) for name, *sources in parts}


def sidebar_of(page: Any) -> dict[str, bool]:
    """Return the links of the sidebar: address, and whether it is the active one."""
    groups = page.context["sidebar_navigation"]
    return {item["link"]: item["active"] for group in groups for item in group["items"]}


# The policy


@pytest.mark.parametrize("address", ["/", "/colors/", "/history/", "/nothing/", "/api/v1/docs"])
def test_public_pages_keep_the_strict_policy(
    address: str, client: Client, served: Recognizer
) -> None:
    policy = directives(client.get(address))

    assert "unsafe" not in str(policy)
    assert policy["script-src"] == policy["style-src"] == {"'self'"}
    assert policy["default-src"] == {"'none'"}


@pytest.mark.parametrize("address", ["/admin/login/", "/admin/", "/admin/auth/user/"])
def test_the_admin_may_evaluate_and_set_styles_but_run_nothing_inline(
    address: str, admin_client: Client
) -> None:
    policy = directives(admin_client.get(address))

    strict = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    assert policy == {name: set(sources) for name, sources in strict.items()} | {
        "script-src": {"'self'", "'unsafe-eval'"},
        "style-src-attr": {"'unsafe-inline'"},
    }


@pytest.mark.django_db
def test_an_address_that_only_begins_like_the_admin_gets_no_relief(client: Client) -> None:
    assert "unsafe" not in client.get("/administration/")["Content-Security-Policy"]


@pytest.mark.parametrize("name", LISTS)
def test_pages_bring_no_inline_script_or_sheet_and_nothing_from_elsewhere(
    name: str, admin_client: Client
) -> None:
    content = admin_client.get(reverse(f"admin:{name}_changelist")).content.decode()

    assert "<style" not in content
    assert re.findall(r"<script(?![^>]*\bsrc=)", content) == []
    assert re.findall(r'(?:src|href)="(?:https?:)?//', content) == []


# The sidebar


def test_the_sidebar_links_every_list(admin_client: Client) -> None:
    links = sidebar_of(admin_client.get(reverse("admin:index")))

    queues = reverse("admin:recognition_prediction_queues")
    assert list(links) == [queues, *(reverse(f"admin:{name}_changelist") for name in LISTS)]
    assert not any(links.values())


def test_the_sidebar_marks_where_one_is(admin_client: Client, served: Recognizer) -> None:
    url = reverse("admin:recognition_recognizer_change", args=[served.pk])

    links = sidebar_of(admin_client.get(url))

    active = [link for link, is_active in links.items() if is_active]
    assert active == [reverse("admin:recognition_recognizer_changelist")]


@pytest.mark.django_db
def test_reviewers_see_no_link_that_would_be_refused(client: Client) -> None:
    user = User.objects.create_user("rosa", is_staff=True)
    user.groups.add(Group.objects.get(name="reviewers"))
    client.force_login(user)

    links = sidebar_of(client.get(reverse("admin:index")))

    lists = [name for name in LISTS if name.removeprefix("recognition_") in READ_BY_REVIEWERS]
    queues = reverse("admin:recognition_prediction_queues")
    assert list(links) == [queues, *(reverse(f"admin:{name}_changelist") for name in lists)]
    assert all(client.get(link).status_code == 200 for link in links)


# A page of one's own


def render_page(request: HttpRequest, **context: Any) -> str:
    request.resolver_match = resolve("/admin/")
    response = TemplateResponse(
        request,
        "admin/recognition/page.html",
        {**admin.site.each_context(request), "title": "Comparison <1>", **context},
    )
    return response.render().content.decode()


def test_a_page_of_its_own_has_one_heading_and_the_sheet(
    rf: RequestFactory, admin_user: User
) -> None:
    request = rf.get("/admin/")
    request.user = admin_user

    content = render_page(request)
    assert content.count("Comparison &lt;1&gt;") == 2  # title of the document, heading
    assert "lacewing/admin.css" in content

    content = render_page(request, opts=ModelVersion._meta)
    assert re.search(r'<h2 class="lacewing-title">\s*Comparison &lt;1&gt;\s*</h2>', content)
    assert "Model versions" in content


# People


def test_a_user_is_added_and_given_rights(admin_client: Client) -> None:
    added = admin_client.post(
        reverse("admin:auth_user_add"),
        {
            "username": "rosa",
            "usable_password": "true",
            "password1": "a long enough one",
            "password2": "a long enough one",
        },
    )
    user = User.objects.get(username="rosa")
    url = reverse("admin:auth_user_change", args=[user.pk])
    assert added["Location"] == url
    assert user.check_password("a long enough one")

    reviewers = Group.objects.get(name="reviewers")
    fields = {"username": "rosa", "is_active": "on", "is_staff": "on", "groups": [reviewers.pk]}
    joined = {"date_joined_0": "2026-01-02", "date_joined_1": "03:04:05"}
    assert admin_client.post(url, fields | joined).status_code == 302

    user.refresh_from_db()
    assert user.is_staff
    assert user.has_perm("recognition.review_prediction")


def test_a_weak_password_is_refused(admin_client: Client) -> None:
    page = admin_client.post(
        reverse("admin:auth_user_add"),
        {"username": "rosa", "usable_password": "true", "password1": "1234", "password2": "1234"},
    )

    assert "too short" in page.content.decode()
    assert not User.objects.filter(username="rosa").exists()


# The language


def test_the_language_is_switched_and_the_page_shown_again(admin_client: Client) -> None:
    url = reverse("admin:recognition_review_changelist")
    page = admin_client.get(url).content.decode()
    assert 'name="language" type="hidden" value="de"' in page

    response = admin_client.post(
        reverse("set_language"), {"language": "de"}, headers={"Referer": f"http://testserver{url}"}
    )

    assert response["Location"].removeprefix("http://testserver") == url
    assert '<html lang="de"' in admin_client.get(url).content.decode()


def test_the_language_switch_leads_to_no_other_site(admin_client: Client) -> None:
    response = admin_client.post(
        reverse("set_language"), {"language": "de", "next": "https://example.org/"}
    )
    assert response["Location"] == "/"


@pytest.mark.django_db
def test_trainers_reach_everything_that_the_loop_needs(client: Client) -> None:
    user = User.objects.create_user("tom", is_staff=True)
    user.groups.add(Group.objects.get(name="trainers"))
    client.force_login(user)

    links = sidebar_of(client.get(reverse("admin:index")))

    needed = (*READ_BY_REVIEWERS, "trainingrun", "activation")
    lists = {reverse(f"admin:recognition_{name}_changelist") for name in needed}
    assert lists | {reverse("admin:recognition_prediction_queues")} == set(links)
    assert all(client.get(link).status_code == 200 for link in links)
    assert not user.has_perm("recognition.delete_prediction")
