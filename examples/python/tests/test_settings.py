import unittest

from revenue_by_status.problem import ExitCode, Problem
from revenue_by_status.settings import read_settings


class ReadSettings(unittest.TestCase):
    def test_servers_are_looked_for_on_this_machine_unless_the_environment_says_otherwise(
        self,
    ) -> None:
        kafka, redis = read_settings({"REDIS_PORT": ""})
        self.assertEqual(kafka.broker, "localhost:9092")
        self.assertEqual((redis.host, redis.port), ("localhost", 6379))

    def test_every_wrong_variable_is_named_in_one_message(self) -> None:
        with self.assertRaises(Problem) as raised:
            read_settings(
                {
                    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                    "KAFKA_SASL_MECHANISM": "GSSAPI",
                    "KAFKA_SASL_USERNAME": "millrace",
                    "KAFKA_SSL_CA": "/no/such/file",
                    "REDIS_PORT": "0",
                }
            )
        self.assertEqual(raised.exception.exit_code, ExitCode.CONFIGURATION)
        self.assertEqual(
            str(raised.exception).splitlines(),
            [
                'KAFKA_SASL_MECHANISM: found "GSSAPI", expected one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512',
                "KAFKA_SASL_PASSWORD: not set, expected a value, as KAFKA_SECURITY_PROTOCOL is SASL_SSL",
                'KAFKA_SSL_CA: found "/no/such/file", expected a file that exists',
                'REDIS_PORT: found "0", expected a port from 1 to 65535',
            ],
        )

    def test_passwords_show_in_no_representation(self) -> None:
        _, redis = read_settings({"REDIS_PASSWORD": "secret"})
        self.assertNotIn("secret", repr(redis))


if __name__ == "__main__":
    unittest.main()
