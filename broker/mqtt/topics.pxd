"""What a topic name and a topic filter may look like (MQTT 5 §4.7, §4.8.2), for the cold paths."""


cpdef bytes check_topic_name(bytes topic_name)
cpdef bytes check_topic_filter(bytes topic_filter)
cpdef tuple split_share(bytes topic_filter)
