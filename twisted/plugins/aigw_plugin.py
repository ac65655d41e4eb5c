"""Lists ``aigw`` among the commands of ``twistd``."""

from twisted.application.service import ServiceMaker

aigw = ServiceMaker("aigw", "aigw.tap", "An AI gateway with the admin API of APISIX.", "aigw")
