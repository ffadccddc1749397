"""The web UI in a real browser, clicked through: each page shows what is there, and changes it."""

from __future__ import annotations

import json

import pika
import pika.exceptions
import pytest

from tests.support.pika_client import connect
from tests.support.server import HubbubServer
from tests.support.web_ui import WebUi

pytestmark = [pytest.mark.hubbub_only, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="session")]


async def test_the_overview_shows_totals_charts_the_ledger_and_where_it_listens(ui: WebUi) -> None:
    await ui.shows(
        "fsync",
        "Unaccounted",
        "Messages per second",
        "Commit, fsync included",
        "Memory",
        "Ledger",
        "Disk free",
        "amqp",
        "mqtt",
    )
    assert await ui.page.evaluate("document.querySelectorAll('.chart svg').length") == 6
    assert await ui.page.evaluate("document.querySelector('nav a[aria-current]').textContent") == "Overview"


async def test_a_chart_grows_while_the_page_is_open(ui: WebUi) -> None:
    drawn = "document.querySelectorAll('.chart')[1].querySelector('.line').getAttribute('d')"
    before = await ui.page.evaluate(drawn)

    assert await ui.page.until(f"{drawn} !== {json.dumps(before)}")


async def test_charts_are_read_with_the_arrow_keys_as_tables_and_over_a_day(ui: WebUi) -> None:
    spoken = "document.querySelector('.chart .over [aria-live]').textContent"
    await ui.page.evaluate("document.querySelector('.chart svg').focus()")
    await ui.page.press("End")
    assert "published" in await ui.page.evaluate(spoken)
    assert not await ui.page.evaluate("document.querySelector('.chart .cursor').hidden")
    await ui.page.press("Escape")
    assert await ui.page.evaluate(spoken) == ""

    await ui.click("Table")
    await ui.page.until("document.querySelector('dialog[open] table')?.textContent.includes('acknowledged')")
    await ui.click("✕")
    for age in ("86400", "60"):
        await ui.page.evaluate(
            f"""(() => {{
                const select = document.querySelector("select[name=range]")
                select.value = {age}
                select.dispatchEvent(new Event("change", {{ bubbles: true }}))
            }})()"""
        )

        await ui.page.until(
            f"/[A-Z]/.test(document.querySelector('.times span').textContent) === {str(age == '86400').lower()}"
        )


async def test_a_queue_from_its_declaration_to_its_end(ui: WebUi) -> None:
    await ui.go("Queues")
    await ui.click("New queue")
    await ui.fill("New queue", name="orders", args='{"x-max-length": 50')
    await ui.said("Arguments: expected JSON")
    await ui.fill("New queue", name="orders", args='{"x-max-length": 50}')
    await ui.said("Queue orders is declared")
    await ui.follow("orders")
    await ui.shows("x-max-length", "Nobody consumes it.")
    await ui.fill("Publish a message", payload="21 °C <b>☂</b>", properties='{"headers": {"room": "kitchen"}}')
    await ui.said("the broker has it")
    await ui.fill("Look at messages", count="5")
    await ui.said("1 message")
    assert await ui.page.until("document.querySelector('.message pre')?.textContent") == "21 °C <b>☂</b>"
    await ui.shows("header room: kitchen", "persistent")

    await ui.click("Move messages")
    await ui.fill("Move messages of orders", destination="not-there")
    await ui.said("no queue 'not-there'")
    await ui.fill("Move messages of orders", destination="orders")
    await ui.said("expected another queue")
    await ui.click("✕")
    await ui.click("Purge")
    await ui.confirm("Purge")
    await ui.said("Purged")
    await ui.fill("Look at messages", mode="ack_requeue_false")
    await ui.confirm("Take them")
    await ui.shows("The queue has no ready message.")
    await ui.click("Delete")
    await ui.confirm("Delete queue")
    await ui.titled("Queues")
    await ui.lacks("orders")


async def test_messages_are_moved_to_another_queue(ui: WebUi, broker: HubbubServer) -> None:
    connection = connect(broker.url)
    channel = connection.channel()
    for name in ("moved-from", "moved-to"):
        channel.queue_declare(name, exclusive=False, auto_delete=True)
    for _ in range(3):
        channel.basic_publish("", "moved-from", b"moved")
    await ui.open("queue/%2F/moved-from")
    await ui.click("Move messages")
    await ui.fill("Move messages of moved-from", destination="moved-to")
    await ui.said("Moved 3 to moved-to")
    assert channel.queue_delete("moved-to").method.message_count == 3
    channel.queue_delete("moved-from")
    connection.close()


async def test_queues_are_found_sorted_and_paged(ui: WebUi, broker: HubbubServer) -> None:
    connection = connect(broker.url)
    channel = connection.channel()
    for number in range(60):
        channel.queue_declare(f"listed-{number:02}", exclusive=True)
    await ui.go("Queues")
    await ui.find("listed-")
    await ui.shows("page 1 of 2", "listed-00")
    await ui.click("Next →")
    await ui.shows("listed-59", "page 2 of 2")
    await ui.click("Name ▲")
    await ui.shows("page 1 of 2", "Name ▼", "listed-59")
    assert await ui.page.evaluate("document.querySelector('th[aria-sort=descending]').textContent") == "Name ▼"
    await ui.find("listed-07")
    await ui.shows("listed-07")
    await ui.lacks("listed-59")
    assert "name=listed-07" in await ui.page.evaluate("location.hash")
    await ui.find("nothing-like-it")
    await ui.shows("No queues match “nothing-like-it”.")
    connection.close()


async def test_exchanges_are_declared_bound_and_published_to(ui: WebUi, broker: HubbubServer) -> None:
    connection = connect(broker.url)
    connection.channel().queue_declare("drawn", durable=True)
    await ui.go("Exchanges")
    await ui.click("New exchange")
    await ui.fill("New exchange", name="news", type="topic")
    await ui.said("Exchange news is declared")
    await ui.follow("news")
    await ui.shows("It is bound to nothing.")
    await ui.fill("Publish a message", routing_key="weather.today", payload="rain")
    await ui.said("nobody wanted it")
    await ui.click("Bind")
    await ui.fill("Bind news", destination="not-there", routing_key="weather.#")
    await ui.said("no queue 'not-there' in vhost '/'")
    await ui.fill("Bind news", destination="drawn", routing_key="weather.#")
    await ui.said("Bound")
    await ui.shows("weather.#")
    await ui.fill("Publish a message", routing_key="weather.today", payload="rain")
    await ui.said("the broker has it")

    await ui.go("Graph")
    assert await ui.page.until("document.querySelector('svg.graph path.edge')") is not None
    await ui.find("news")
    await ui.page.until("document.querySelectorAll('svg.graph a').length === 2")
    await ui.page.evaluate("document.querySelector('svg.graph a.queue').focus()")
    assert await ui.page.evaluate("document.querySelectorAll('svg.graph .lit').length") == 1
    await ui.page.evaluate("document.querySelector('svg.graph a.queue').dispatchEvent(new MouseEvent('click'))")
    await ui.titled("Queue")
    await ui.click("Unbind", "weather.#")
    await ui.confirm("Unbind")
    await ui.said("Unbound")
    await ui.go("Exchanges")
    await ui.click("Delete", "news")
    await ui.confirm("Delete exchange")
    await ui.said("Deleted news")
    connection.close()


async def test_the_graph_of_many_bindings_is_bounded_and_says_so(ui: WebUi, broker: HubbubServer) -> None:
    connection = connect(broker.url)
    channel = connection.channel()
    channel.exchange_declare("many", "fanout")
    for number in range(80):
        channel.queue_declare(f"many-{number}", exclusive=True)
        channel.queue_bind(f"many-{number}", "many")

    await ui.open("graph?name=many")

    await ui.shows("21 bindings more: only 60 exchanges and queues are drawn")
    assert await ui.page.evaluate("document.querySelectorAll('svg.graph rect').length") == 60
    connection.close()


async def test_a_connection_is_looked_into_and_closed(ui: WebUi, broker: HubbubServer) -> None:
    connection = pika.BlockingConnection(
        pika.ConnectionParameters(*broker.address, client_properties={"connection_name": "billing"})
    )
    channel = connection.channel()
    channel.basic_qos(prefetch_count=17)
    channel.queue_declare("bills", exclusive=True)
    channel.basic_consume("bills", lambda *_: None)
    await ui.go("Connections")
    await ui.shows("AMQP 0-9-1", "billing")
    name = await ui.page.evaluate(
        "[...document.querySelectorAll('tr')].find(row => row.textContent.includes('billing'))"
        ".querySelector('a').textContent"
    )
    await ui.follow(name)
    await ui.shows("Channels", "17", "bills", "Pika Python Client Library", "Traffic")
    await ui.click("Close connection")
    await ui.confirm("Close connection")
    await ui.titled("Connections")
    await ui.said("Closed")
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        connection.process_data_events(time_limit=10)
    assert closed.value.reply_code == 320


async def test_users_permissions_and_limits_are_edited(ui: WebUi) -> None:
    await ui.go("Users")
    await ui.click("New user")
    await ui.fill("New user", name="ann", password="secret", tags="monitoring")
    await ui.said("User ann is saved")
    await ui.follow("ann")
    await ui.shows("It may enter no vhost.", "No limits.")
    await ui.click("Set permission")
    await ui.fill("Permission of ann", write="^a")
    await ui.said("Permission of ann is set")
    await ui.shows("^a")
    await ui.click("Set topic permission")
    await ui.fill("Topic permission of ann", write="^sales[.]{username}$")
    await ui.said("Topic permission of ann is set")
    await ui.shows("amq.topic", "^sales[.]{username}$")
    await ui.click("Clear", "^sales")
    await ui.shows("Every routing key is allowed")
    await ui.click("Set limit")
    await ui.fill("Set limit", name="max-channels", value="7")
    await ui.said("max-channels is set")
    await ui.shows("max-channels", "7")
    await ui.click("Clear", "max-channels")
    await ui.shows("No limits.")
    await ui.click("Clear", "^a")
    await ui.confirm("Clear permission")
    await ui.shows("It may enter no vhost.")
    await ui.click("Delete")
    await ui.confirm("Delete user")
    await ui.titled("Users")
    await ui.said("Deleted ann")


async def test_policies_of_both_kinds_are_set_changed_and_deleted(ui: WebUi) -> None:
    for kind in ("New policy", "New operator policy"):
        await ui.go("Policies")
        await ui.click(kind)
        await ui.fill(kind, name="short", definition='{"max-lenght": 5}')
        await ui.said("max-lenght")
        await ui.fill(kind, name="short", definition='{"max-length": 5}')
        await ui.said("Policy short is set")
        await ui.click("Change", "short")
        await ui.fill("Change short", definition='{"max-length": 6}')
        await ui.shows('{"max-length":6}')
        await ui.click("Delete", "short")
        await ui.confirm("Delete policy")
        await ui.said("Deleted short")


async def test_a_vhost_is_made_limited_chosen_and_deleted(ui: WebUi) -> None:
    await ui.go("Vhosts")
    await ui.click("New vhost")
    await ui.fill("New vhost", name="lab")
    await ui.said("Vhost lab is there")
    await ui.follow("lab")
    await ui.click("Set limit")
    await ui.fill("Set limit", name="max-queues", value="3")
    await ui.shows("max-queues", "3")
    await ui.click("Set limit")
    await ui.fill("Set limit", name="max-messages", value="3")
    await ui.said("max-messages-per-second")
    await ui.fill("Set limit", name="max-messages-per-second", value="500")
    await ui.shows("max-messages-per-second", "500")
    await ui.click("Switch on")
    await ui.said("The firehose is on")
    await ui.click("Switch off")
    await ui.said("The firehose is off")
    await ui.choose_vhost("lab")
    await ui.go("Exchanges")
    await ui.shows("7 exchanges", "lab")
    await ui.go("Vhosts")
    await ui.click("Delete", "lab")
    await ui.confirm("Delete vhost")
    await ui.said("Deleted lab")
    await ui.go("Queues")
    assert await ui.page.evaluate("document.querySelector('#scope select').value") == ""


async def test_definitions_are_taken_home_and_brought_in(ui: WebUi) -> None:
    await ui.go("Definitions")
    await ui.page.evaluate(
        "globalThis.saved = []; URL.createObjectURL = blob => { saved.push(blob.text()); return '#definitions' }"
    )
    await ui.click("Download definitions.json")
    await ui.said("Exported")
    assert "rabbitmq_version" in await ui.page.evaluate("saved[0]")

    await ui.page.evaluate(
        """(() => {
            const chosen = new DataTransfer()
            const queues = [{ name: "brought", vhost: "/", durable: true, auto_delete: false, arguments: {} }]
            chosen.items.add(new File([JSON.stringify({ queues })], "d.json"))
            const input = document.querySelector("input[type=file]")
            input.files = chosen.files
            input.dispatchEvent(new Event("change"))
        })()"""
    )
    await ui.confirm("Import")
    await ui.said("Imported d.json")
    await ui.go("Queues")
    await ui.shows("brought")
