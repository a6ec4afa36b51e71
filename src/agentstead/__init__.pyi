"""What is public, for those who check types: at run time it is imported when it is first used."""

from agentstead.client.declared import api_tool as api_tool
from agentstead.client.declared import database_tool as database_tool
from agentstead.client.declared import notification_tool as notification_tool
from agentstead.client.declared import tool as tool
from agentstead.client.managed_agent import ClaudeManagedAgent as ClaudeManagedAgent
from agentstead.client.result import ApprovalNeeded as ApprovalNeeded
from agentstead.client.result import NotAvailableYet as NotAvailableYet
from agentstead.client.result import Result as Result
from agentstead.client.result import RunStopped as RunStopped

__version__: str
