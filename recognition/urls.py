"""Addresses of pages, probes and the API. A recognizer's slug comes last: it matches anything."""

from django.urls import include, path

from recognition import views
from recognition.api import api
from recognition.health import healthz, readyz
from recognition.leaderboards import leaderboard

pages = [
    path("", views.home, name="home"),
    path("history/", views.history, name="history"),
    path("predictions/<uuid:prediction_id>/", views.prediction, name="prediction"),
    path("predictions/<uuid:prediction_id>/picture.jpg", views.picture, name="picture"),
    path("predictions/<uuid:prediction_id>/activation.png", views.activation, name="activation"),
    path("predictions/<uuid:prediction_id>/suggestion/", views.suggestion, name="suggestion"),
    path("predictions/<uuid:prediction_id>/deletion/", views.deletion, name="deletion"),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("<slug:slug>/", views.recognizer, name="recognizer"),
    path("<slug:slug>/leaderboard/", leaderboard, name="leaderboard"),
]

urlpatterns = [
    path("api/v1/", api.urls),  # outside the namespace: its own pages look its addresses up
    path("", include((pages, "recognition"))),
]
