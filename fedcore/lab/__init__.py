"""What a lesson puts on the screen. Only here are ipywidgets and anywidget imported."""

from fedcore.lab import progress
from fedcore.lab.attack_panel import AttackPanel
from fedcore.lab.attack_runs import AttackSettings, attack_run
from fedcore.lab.challenge import Challenge
from fedcore.lab.chart import LineChart
from fedcore.lab.digit import DigitPad, center_digit
from fedcore.lab.dropout_panel import DropoutPanel
from fedcore.lab.dropout_runs import DropoutRound, dropout_run
from fedcore.lab.dropout_settings import DropoutSettings
from fedcore.lab.figure import show
from fedcore.lab.frames import data_frame, round_frame
from fedcore.lab.glossary import glossary
from fedcore.lab.grade import grade
from fedcore.lab.log import aggregation_log
from fedcore.lab.network import NetworkMap, render_network_svg
from fedcore.lab.panel import FederationPanel
from fedcore.lab.predict import predict
from fedcore.lab.privacy_panel import PrivacyPanel
from fedcore.lab.privacy_runs import PrivacySettings, privacy_run
from fedcore.lab.processes import ProcessPanel, log_text, server_lines, start_federation
from fedcore.lab.quiz import quiz
from fedcore.lab.runs import RunSettings, panel_run
from fedcore.lab.scale_panel import ScalePanel
from fedcore.lab.skill_map import certificate, progress_header, skill_map
from fedcore.lab.table import table

__all__ = [
    "AttackPanel",
    "AttackSettings",
    "Challenge",
    "DigitPad",
    "DropoutPanel",
    "DropoutRound",
    "DropoutSettings",
    "FederationPanel",
    "LineChart",
    "NetworkMap",
    "PrivacyPanel",
    "PrivacySettings",
    "ProcessPanel",
    "RunSettings",
    "ScalePanel",
    "aggregation_log",
    "attack_run",
    "center_digit",
    "certificate",
    "data_frame",
    "dropout_run",
    "glossary",
    "grade",
    "log_text",
    "panel_run",
    "predict",
    "privacy_run",
    "progress",
    "progress_header",
    "quiz",
    "render_network_svg",
    "round_frame",
    "server_lines",
    "show",
    "skill_map",
    "start_federation",
    "table",
]
