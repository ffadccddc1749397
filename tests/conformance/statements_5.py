"""The normative statements of MQTT 5 in short; the format is explained in `statements`."""

TABLE = """
1.5.4-1 S strings are well-formed UTF-8
1.5.4-2 S strings have no U+0000
1.5.4-3 S a byte order mark inside a string stays in it
1.5.5-1 S a variable byte integer is as short as can be
1.5.7-1 S both strings of a pair are UTF-8
2.1.3-1 B reserved flags have the values that the table gives
2.2.1-2 B a PUBLISH of QoS 0 has no packet identifier
2.2.1-3 S SUBSCRIBE, UNSUBSCRIBE and PUBLISH of QoS > 0 carry an identifier other than zero
2.2.1-4 S the server's new PUBLISHes take identifiers that are not in use
2.2.1-5 S PUBACK, PUBREC, PUBREL and PUBCOMP repeat the PUBLISH's identifier
2.2.1-6 S SUBACK and UNSUBACK repeat the identifier they answer
2.2.2-1 S no properties: a length of zero
3.1.0-1 S the first packet of a client is CONNECT
3.1.0-2 S a second CONNECT is a protocol error and the end
3.1.2-1 S a wrong protocol name is the end
3.1.2-2 S an unknown version is the end, with 0x84 at most before
3.1.2-3 S the reserved connect flag is zero
3.1.2-4 S clean start discards the session
3.1.2-5 S without clean start the session goes on
3.1.2-6 S without clean start and session, a new one is made
3.1.2-7 S a will is kept with the session
3.1.2-8 S the will is published after the connection ended and its delay or the session passed
3.1.2-9 S a will flag asks for will properties, topic and payload
3.1.2-10 S a published or withdrawn will is gone
3.1.2-11 S without the will flag the will QoS is 0
3.1.2-12 S a will QoS is 0, 1 or 2
3.1.2-13 S without the will flag will retain is 0
3.1.2-14 S a will without retain is published as not retained
3.1.2-15 S a will with retain is published as retained
3.1.2-16 S no user name flag, no user name
3.1.2-17 S user name flag, user name
3.1.2-18 S no password flag, no password
3.1.2-19 S password flag, password
3.1.2-20 C with nothing else to send, the client pings within its keep alive
3.1.2-21 C a server keep alive replaces the client's
3.1.2-22 S silence of one and a half keep alives ends the connection
3.1.2-23 S a session with an expiry interval is stored after the connection
3.1.2-24 S nothing larger than the client's maximum packet size is sent
3.1.2-25 S what is too large is dropped as if delivered
3.1.2-26 S no topic alias above the client's maximum
3.1.2-27 S no topic aliases if the maximum is absent or zero
3.1.2-28 S no response information unless asked for
3.1.2-29 S without request problem information no reason strings but in CONNACK and DISCONNECT
3.1.2-30 C while authentication is going on the client sends AUTH and DISCONNECT only
3.1.3-1 S the payload's fields come in the one order
3.1.3-2 S the client identifier identifies the session
3.1.3-3 S the client identifier is the payload's first field
3.1.3-4 S the client identifier is UTF-8
3.1.3-5 S identifiers of 1 to 23 letters and digits are accepted
3.1.3-6 S an empty identifier is replaced by a unique one
3.1.3-7 S which CONNACK tells
3.1.3-8 X a rejected identifier ends the connection | no identifier is rejected
3.1.3-9 S coming back within the will delay withdraws the will
3.1.3-10 S the will's user properties keep their order
3.1.3-11 S the will topic is UTF-8
3.1.3-12 S the user name is UTF-8
3.1.4-1 S a CONNECT that is not well-formed ends the connection
3.1.4-2 S a failed authentication ends the connection
3.1.4-3 S a client identifier that is connected already: the older gets 0x8E and the end
3.1.4-4 S clean start is carried out
3.1.4-5 S an accepted CONNECT gets CONNACK with 0
3.1.4-6 S after a rejected CONNECT nothing more is processed
3.2.0-1 S nothing but AUTH comes before CONNACK
3.2.0-2 S one CONNACK per connection
3.2.2-1 S CONNACK's reserved bits are 0
3.2.2-2 S a clean start has session present 0
3.2.2-3 S without clean start, session present says whether there was one
3.2.2-4 C an unexpected session ends the connection
3.2.2-5 C a lost session is forgotten by the client
3.2.2-6 S a rejection has session present 0
3.2.2-7 S a rejection is followed by the end
3.2.2-8 S CONNACK has one of its reason codes
3.2.2-9 X who lacks a QoS says so | all are supported
3.2.2-10 X who lacks a QoS grants it all the same | all are supported
3.2.2-11 C the client keeps to the maximum QoS
3.2.2-12 X a will of an unsupported QoS is rejected | all are supported
3.2.2-13 X a retained will where that is not supported is rejected | it is supported
3.2.2-14 C the client retains only where it may
3.2.2-15 C the client keeps to the maximum packet size
3.2.2-16 S an assigned client identifier is new
3.2.2-17 C the client keeps to the topic alias maximum
3.2.2-18 C without one it sends no aliases
3.2.2-19 S CONNACK's reason string yields to the maximum packet size
3.2.2-20 S CONNACK's user properties yield to the maximum packet size
3.2.2-21 C the client uses the server keep alive
3.2.2-22 S without one the server uses the client's
3.3.1-1 S what is delivered again has DUP
3.3.1-2 B QoS 0 never has DUP
3.3.1-3 S DUP does not pass from publisher to subscriber
3.3.1-4 S QoS 3 is malformed
3.3.1-5 S a retained publish replaces the one before
3.3.1-6 S an empty one removes it
3.3.1-7 S an empty one is not stored
3.3.1-8 S a message without RETAIN leaves the retained one alone
3.3.1-9 S retain handling 0 sends the retained messages
3.3.1-10 S retain handling 1 sends them to new subscriptions only
3.3.1-11 S retain handling 2 does not send them
3.3.1-12 S without retain as published, RETAIN is 0
3.3.1-13 S with it, RETAIN is as published
3.3.2-1 S a topic comes first and is UTF-8
3.3.2-2 S a topic has no wildcards
3.3.2-3 S a delivered topic matches the filter
3.3.2-4 S the payload format passes unaltered
3.3.2-5 S what expired before delivery is deleted
3.3.2-6 S the expiry interval is lessened by the wait
3.3.2-7 S topic aliases end with their connection
3.3.2-8 S no topic alias is 0
3.3.2-9 C the client keeps to the topic alias maximum
3.3.2-10 C the client accepts all aliases it allowed
3.3.2-11 S the server keeps to the client's topic alias maximum
3.3.2-12 S the server accepts all aliases it allowed
3.3.2-13 S the response topic is UTF-8
3.3.2-14 S the response topic has no wildcards
3.3.2-15 S the response topic passes unaltered
3.3.2-16 S correlation data pass unaltered
3.3.2-17 S user properties pass unaltered
3.3.2-18 S user properties keep their order
3.3.2-19 S the content type is UTF-8
3.3.2-20 S the content type passes unaltered
3.3.4-1 S the answer is what the QoS asks for
3.3.4-2 S overlapping subscriptions deliver at the highest QoS of them
3.3.4-3 S with the identifiers of those that have one
3.3.4-4 S all of them in a single copy
3.3.4-5 X each its own in several copies | a single copy is sent
3.3.4-6 S a client's PUBLISH has no subscription identifier
3.3.4-7 C the client keeps to the receive maximum
3.3.4-8 C and delays nothing but PUBLISH for it
3.3.4-9 S the server keeps to the client's receive maximum
3.3.4-10 S and delays nothing but PUBLISH for it
3.4.2-1 S PUBACK has one of its reason codes
3.4.2-2 S PUBACK's reason string yields to the maximum packet size
3.4.2-3 S PUBACK's user properties yield to the maximum packet size
3.5.2-1 S PUBREC has one of its reason codes
3.5.2-2 S PUBREC's reason string yields to the maximum packet size
3.5.2-3 S PUBREC's user properties yield to the maximum packet size
3.6.1-1 S PUBREL has the flags 0010, or the connection ends
3.6.2-1 S PUBREL has one of its reason codes
3.6.2-2 S PUBREL's reason string yields to the maximum packet size
3.6.2-3 S PUBREL's user properties yield to the maximum packet size
3.7.2-1 S PUBCOMP has one of its reason codes
3.7.2-2 S PUBCOMP's reason string yields to the maximum packet size
3.7.2-3 S PUBCOMP's user properties yield to the maximum packet size
3.8.1-1 S SUBSCRIBE has the flags 0010, or the connection ends
3.8.3-1 S filters are UTF-8
3.8.3-2 S SUBSCRIBE has at least one filter
3.8.3-3 S no local: not to the client that published
3.8.3-4 S no local with a shared subscription is a protocol error
3.8.3-5 S reserved bits of the options are malformed
3.8.4-1 S SUBSCRIBE gets SUBACK
3.8.4-2 S SUBACK has the SUBSCRIBE's identifier
3.8.4-3 S the same filter again replaces the subscription
3.8.4-4 S and, with retain handling 0, sends the retained messages again
3.8.4-5 S several filters are like several SUBSCRIBEs
3.8.4-6 S SUBACK has a code for each filter
3.8.4-7 S which is the QoS granted or a failure
3.8.4-8 S a delivery's QoS is the lesser of published and granted
3.9.2-1 S SUBACK's reason string yields to the maximum packet size
3.9.2-2 S SUBACK's user properties yield to the maximum packet size
3.9.3-1 S the codes of SUBACK come in the filters' order
3.9.3-2 S SUBACK has its own reason codes
3.10.1-1 S UNSUBSCRIBE has the flags 0010, or the connection ends
3.10.3-1 S filters to remove are UTF-8
3.10.3-2 S UNSUBSCRIBE has at least one filter
3.10.4-1 S filters are compared by character
3.10.4-2 S an unsubscribed filter gets no new messages
3.10.4-3 S what is being delivered is delivered to its end
3.10.4-4 S UNSUBSCRIBE gets UNSUBACK
3.10.4-5 S with its identifier, even if no filter was there
3.10.4-6 S several filters are like several UNSUBSCRIBEs
3.11.2-1 S UNSUBACK's reason string yields to the maximum packet size
3.11.2-2 S UNSUBACK's user properties yield to the maximum packet size
3.11.3-1 S the codes of UNSUBACK come in the filters' order
3.11.3-2 S UNSUBACK has its own reason codes
3.12.4-1 S PINGREQ gets PINGRESP
3.14.0-1 S no DISCONNECT before a successful CONNACK
3.14.1-1 S reserved bits of DISCONNECT are zero, or 0x81
3.14.2-1 S DISCONNECT has one of its reason codes
3.14.2-2 S no session expiry in the server's DISCONNECT
3.14.2-3 S DISCONNECT's reason string yields to the maximum packet size
3.14.2-4 S DISCONNECT's user properties yield to the maximum packet size
3.14.4-1 S nothing follows a DISCONNECT
3.14.4-2 S but the end of the connection
3.14.4-3 S DISCONNECT with 0 withdraws the will
3.15.1-1 S AUTH has the flags 0000, or the connection ends
3.15.2-1 S AUTH has one of its reason codes
3.15.2-2 S AUTH's reason string yields to the maximum packet size
3.15.2-3 S AUTH's user properties yield to the maximum packet size
4.1.0-1 S a session lasts at least as long as its connection
4.1.0-2 S a session ends when its expiry interval has passed
4.2-1 S at least one ordered, lossless transport
4.3.1-1 B QoS 0 goes out once, without DUP
4.3.2-1 S a QoS 1 sender takes an unused identifier
4.3.2-2 S and sends QoS 1 without DUP
4.3.2-3 S unacknowledged until PUBACK
4.3.2-4 S a QoS 1 receiver answers PUBACK
4.3.2-5 S after which the same identifier is a new message
4.3.3-1 S a QoS 2 sender takes an unused identifier
4.3.3-2 S and sends QoS 2 without DUP
4.3.3-3 S unacknowledged until PUBREC
4.3.3-4 S PUBREC gets PUBREL with its identifier
4.3.3-5 S which is unacknowledged until PUBCOMP
4.3.3-6 S after PUBREL the PUBLISH is not repeated
4.3.3-7 S what was sent does not expire
4.3.3-8 S a QoS 2 receiver answers PUBREC
4.3.3-9 S after a PUBREC of 0x80 or more the identifier is free
4.3.3-10 S until PUBREL every repetition gets PUBREC and nobody gets it twice
4.3.3-11 S PUBREL gets PUBCOMP
4.3.3-12 S after PUBCOMP the same identifier is a new message
4.3.3-13 S an expired message's exchange goes on
4.4.0-1 S a resumed session gets its unacknowledged PUBLISHes and PUBRELs again, and no other time
4.4.0-2 S a negative PUBACK or PUBREC acknowledges
4.5.0-1 S an accepted message enters every matching session
4.5.0-2 C the client acknowledges whatever comes
4.6.0-1 C repeated PUBLISHes keep their order
4.6.0-2 C PUBACKs come in the PUBLISHes' order
4.6.0-3 C PUBRECs come in the PUBLISHes' order
4.6.0-4 C PUBRELs come in the PUBRECs' order
4.6.0-5 S an ordered topic reaches subscribers in the publisher's order
4.6.0-6 S every topic is ordered for subscriptions that are not shared
4.7.0-1 S wildcards belong in filters, not in topics
4.7.1-1 S # stands alone at the end
4.7.1-2 S + fills its level
4.7.2-1 S filters that begin with a wildcard do not match topics that begin with $
4.7.3-1 S topics and filters have at least one character
4.7.3-2 S topics and filters have no U+0000
4.7.3-3 S topics and filters have at most 65,535 bytes
4.7.3-4 S nothing is normalised
4.8.2-1 S a shared filter has a share name
4.8.2-2 S the share name has no / + #, and a filter follows
4.8.2-3 S shared deliveries respect the granted QoS
4.8.2-4 S a QoS 2 delivery under way is completed with that client
4.8.2-5 S and, should its session end, with nobody else
4.8.2-6 S a negative acknowledgement discards the message
4.9.0-1 S the first send quota is within the receive maximum
4.9.0-2 S no PUBLISH of QoS > 0 without quota
4.9.0-3 S other packets flow without quota
4.12.0-1 S an unknown authentication method is the end
4.12.0-2 S the server's AUTH says 0x18 while it goes on
4.12.0-3 C so does the client's
4.12.0-4 S a rejected authentication is the end
4.12.0-5 S AUTH and CONNACK repeat the method
4.12.0-6 S no method: no AUTH, none in CONNACK
4.12.0-7 C no method: no AUTH from the client
4.12.1-1 C re-authentication keeps the method
4.12.1-2 S a failed re-authentication is the end
4.13.1-1 S a malformed packet or protocol error is the end
4.13.2-1 S a reason of 0x80 or more in CONNACK or DISCONNECT is the end
6.0.0-1 W over WebSocket: binary frames, or the end
6.0.0-2 W over WebSocket: packets need not begin where frames begin
6.0.0-3 C over WebSocket: the client offers the subprotocol mqtt
6.0.0-4 W over WebSocket: the server takes the subprotocol mqtt
7.0.0-1 X a server that connects to servers is a client too | this server makes no MQTT connections
7.0.0-2 S nothing beyond the specification is needed
"""
