"""The normative statements of MQTT 3.1.1 in short; the format is explained in `statements`."""

TABLE = """
1.5.3-1 S ill-formed UTF-8 in a string closes the connection
1.5.3-2 S U+0000 in a string closes the connection
1.5.3-3 S a byte order mark inside a string stays in it
2.2.2-1 B reserved flags have the values that the table gives
2.2.2-2 S invalid flags close the connection
2.3.1-1 B SUBSCRIBE, UNSUBSCRIBE and PUBLISH of QoS > 0 carry a packet identifier other than zero
2.3.1-2 C a new packet takes an identifier that is not in use
2.3.1-3 C a repeated packet keeps its identifier
2.3.1-4 S the server's PUBLISHes of QoS > 0 obey the same rules
2.3.1-5 B a PUBLISH of QoS 0 has no packet identifier
2.3.1-6 S PUBACK, PUBREC and PUBREL repeat the PUBLISH's identifier
2.3.1-7 S SUBACK and UNSUBACK repeat the identifier they answer
3.1.0-1 S the first packet of a client is CONNECT
3.1.0-2 S a second CONNECT is a violation; the client is disconnected
3.1.2-1 S a wrong protocol name is not treated as MQTT 3.1.1
3.1.2-2 S an unknown level gets return code 1, then the end
3.1.2-3 S the reserved connect flag is zero, or the client is disconnected
3.1.2-4 S without clean session the stored session goes on, or a new one is made and kept
3.1.2-5 S while away, a stored session gathers QoS 1 and 2 messages
3.1.2-6 S a clean session forgets what was stored and is not reused
3.1.2-7 S retained messages outlive sessions
3.1.2-8 S a will is kept and published when the connection ends without DISCONNECT
3.1.2-9 S a will flag asks for will topic and message
3.1.2-10 S a published or withdrawn will is gone
3.1.2-11 S without the will flag there are no will QoS, retain, topic and message
3.1.2-12 S without the will flag no will is published
3.1.2-13 S without the will flag the will QoS is 0
3.1.2-14 S a will QoS is 0, 1 or 2
3.1.2-15 S without the will flag will retain is 0
3.1.2-16 S a will without retain is published as not retained
3.1.2-17 S a will with retain is published as retained
3.1.2-18 S no user name flag, no user name
3.1.2-19 S user name flag, user name
3.1.2-20 S no password flag, no password
3.1.2-21 S password flag, password
3.1.2-22 S no user name flag, no password flag
3.1.2-23 C with nothing else to send, the client pings within its keep alive
3.1.2-24 S silence of one and a half keep alives ends the connection
3.1.3-1 S the payload's fields come in the one order
3.1.3-2 S the client identifier identifies the session
3.1.3-3 S the client identifier is the payload's first field
3.1.3-4 S the client identifier is UTF-8
3.1.3-5 S identifiers of 1 to 23 letters and digits are accepted
3.1.3-6 S an empty identifier is replaced by a unique one
3.1.3-7 C an empty identifier asks for a clean session
3.1.3-8 S an empty identifier without clean session gets return code 2 and the end
3.1.3-9 X a rejected identifier gets return code 2 and the end | no other identifier is rejected
3.1.3-10 S the will topic is UTF-8
3.1.3-11 S the user name is UTF-8
3.1.4-1 S a CONNECT that is not well-formed gets no CONNACK, only the end
3.1.4-2 S a client identifier that is connected already: the older connection ends
3.1.4-3 S clean session is carried out
3.1.4-4 S an accepted CONNECT gets CONNACK with 0
3.1.4-5 S after a rejected CONNECT nothing more is processed
3.2.0-1 S the server's first packet is CONNACK
3.2.2-1 S a clean session has session present 0
3.2.2-2 S a stored session has session present 1
3.2.2-3 S a new session has session present 0
3.2.2-4 S a rejection has session present 0
3.2.2-5 S a rejection is followed by the end
3.2.2-6 S where no return code fits, the end comes without CONNACK
3.3.1-1 S what is delivered again has DUP
3.3.1-2 B QoS 0 never has DUP
3.3.1-3 S DUP does not pass from publisher to subscriber
3.3.1-4 S QoS 3 closes the connection
3.3.1-5 S a retained publish is stored with its QoS
3.3.1-6 S a new subscription gets the retained messages that match
3.3.1-7 S a retained QoS 0 message replaces the one before
3.3.1-8 S what a new subscription gets has RETAIN
3.3.1-9 S what an existing subscription gets has no RETAIN
3.3.1-10 S an empty retained message removes what was retained, and is delivered as ever
3.3.1-11 S an empty message is never retained
3.3.1-12 S a message without RETAIN leaves the retained one alone
3.3.2-1 S a topic comes first and is UTF-8
3.3.2-2 S a topic has no wildcards
3.3.2-3 S a delivered topic matches the filter
3.3.4-1 S the answer is what the QoS asks for
3.3.5-1 S overlapping subscriptions deliver at the highest QoS of them
3.3.5-2 S a publish without the right to it is acknowledged or ends the connection
3.6.1-1 S PUBREL has the flags 0010, or the connection ends
3.8.1-1 S SUBSCRIBE has the flags 0010, or the connection ends
3.8.3-1 S filters are UTF-8
3.8.3-2 X who has no wildcards refuses them | wildcards are supported
3.8.3-3 S SUBSCRIBE without a filter is a violation
3.8.3-4 S reserved bits or QoS 3 in SUBSCRIBE end the connection
3.8.4-1 S SUBSCRIBE gets SUBACK
3.8.4-2 S SUBACK has the SUBSCRIBE's identifier
3.8.4-3 S the same filter again replaces the subscription and sends the retained messages again
3.8.4-4 S several filters are like several SUBSCRIBEs
3.8.4-5 S SUBACK has a code for each filter
3.8.4-6 S a delivery's QoS is the lesser of published and granted
3.9.3-1 S the codes of SUBACK come in the filters' order
3.9.3-2 S SUBACK says 0, 1, 2 or 0x80
3.10.1-1 S UNSUBSCRIBE has the flags 0010, or the connection ends
3.10.3-1 S filters to remove are UTF-8
3.10.3-2 S UNSUBSCRIBE without a filter is a violation
3.10.4-1 S filters are compared by character
3.10.4-2 S an unsubscribed filter gets no new messages
3.10.4-3 S what is being delivered is delivered to its end
3.10.4-4 S UNSUBSCRIBE gets UNSUBACK with its identifier
3.10.4-5 S even if no filter was there
3.10.4-6 S several filters are like several UNSUBSCRIBEs
3.12.4-1 S PINGREQ gets PINGRESP
3.14.1-1 S reserved bits of DISCONNECT are zero, or the connection ends
3.14.4-1 C after DISCONNECT the client closes
3.14.4-2 C after DISCONNECT the client says nothing
3.14.4-3 S DISCONNECT withdraws the will
4.1.0-1 B the session's state lasts as long as the session
4.1.0-2 S a session lasts at least as long as its connection
4.3.1-1 B QoS 0 goes out once, without DUP
4.3.2-1 S a QoS 1 sender: unused identifier, no DUP, unacknowledged until PUBACK
4.3.2-2 S a QoS 1 receiver: PUBACK, and the same identifier afterwards is a new message
4.3.3-1 S a QoS 2 sender: PUBREL after PUBREC, no PUBLISH after PUBREL
4.3.3-2 S a QoS 2 receiver: PUBREC for every repetition, delivered once, PUBCOMP for PUBREL
4.4.0-1 S a resumed session gets its unacknowledged PUBLISHes and PUBRELs again with their identifiers
4.5.0-1 S an accepted message enters every matching session
4.5.0-2 C the client acknowledges whatever matches
4.6.0-1 C repeated PUBLISHes keep their order
4.6.0-2 C PUBACKs come in the PUBLISHes' order
4.6.0-3 C PUBRECs come in the PUBLISHes' order
4.6.0-4 C PUBRELs come in the PUBRECs' order
4.6.0-5 S every topic is ordered by default
4.6.0-6 S an ordered topic reaches subscribers in the publisher's order
4.7.1-1 S wildcards belong in filters, not in topics
4.7.1-2 S # stands alone at the end
4.7.1-3 S + fills its level
4.7.2-1 S filters that begin with a wildcard do not match topics that begin with $
4.7.3-1 S topics and filters have at least one character
4.7.3-2 S topics and filters have no U+0000
4.7.3-3 S topics and filters have at most 65,535 bytes
4.7.3-4 S nothing is normalised
4.8.0-1 S a violation ends the connection
4.8.0-2 X a passing error while an answer is owed ends the connection | shown by the store's failure tests
6.0.0-1 W over WebSocket: binary frames, or the end
6.0.0-2 W over WebSocket: packets need not begin where frames begin
6.0.0-3 C over WebSocket: the client offers the subprotocol mqtt
6.0.0-4 W over WebSocket: the server takes the subprotocol mqtt
7.0.0-1 X a server that connects to servers is a client too | this server makes no MQTT connections
7.0.0-2 S nothing beyond the specification is needed
7.1.1-1 S at least one ordered, lossless transport
7.1.2-1 C the same for clients
"""
