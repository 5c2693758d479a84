"""What the demo's comparison accepts, and what it does not."""
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import served

CUTS = [1_500, 2_500]  # ten polls before each


class Plant:
    """A slave's journal of 20 polls, one every 100 ms, with a write after the fourth; and the history of a hub that has it all."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.history: served.History = {name: [] for name in served.ALWAYS | served.ON_CHANGE}
        setpoint = 20.0
        for number in range(20):
            at = 500 + number * 100 if number < 10 else 1_550 + (number - 10) * 90
            values = {"Running": number % 2, "Setpoint": setpoint, "Counter": number + 1, "Temperature": 20 + number / 10, "Pressure": 100 + number / 8}
            for name, value in values.items():
                self.note(at, "read", name, value)
                if name != "Setpoint" or number in (0, 10):
                    self.history[name].append((at - 5, float(value)))
            if number == 3:
                setpoint = 25.5
                self.note(at + 10, "write", "Setpoint", setpoint)
                self.note(at + 11, "read", "Setpoint", setpoint)
                self.history["Setpoint"].append((at + 9, setpoint))

    def note(self, at: int, operation: str, name: str, value: float) -> None:
        self.journal.append(json.dumps({"at": at, "op": operation, "name": name, "value": value}))

    def forget(self, *polls: int) -> None:
        """History lost these polls, by their Counter."""
        times = {when for when, value in self.history["Counter"] if value in polls}
        for name in self.history:
            self.history[name] = [point for point in self.history[name] if point[0] not in times]

    def judge(self) -> tuple[int, int, int]:
        """Polls cut, lost, and values that are wrong."""
        result = served.compare("\n".join(self.journal), self.history, CUTS)
        return result.polls_cut, len(result.lost), len(result.wrong)


class Served(unittest.TestCase):
    def test_all_that_was_served_is_there(self) -> None:
        plant = Plant()
        result = served.compare("\n".join(plant.journal), plant.history, CUTS)
        self.assertEqual((result.polls, result.values, result.compared), (20, 101, 101))
        self.assertEqual(plant.judge(), (0, 0, 0))

    def test_the_last_polls_before_a_cut_may_be_missing(self) -> None:
        plant = Plant()
        plant.forget(9, 10, 20)
        self.assertEqual(plant.judge(), (3, 0, 0))

    def test_a_poll_with_a_stored_one_after_it_may_not(self) -> None:
        for poll in (1, 9, 11, 19):
            plant = Plant()
            plant.forget(poll)
            _, lost, _ = plant.judge()
            self.assertEqual(lost, 1, poll)

    def test_a_poll_long_before_the_cut_may_not_either(self) -> None:
        plant = Plant()
        plant.forget(*range(1, 11))
        result = served.compare("\n".join(plant.journal), plant.history, [1_500 + served.CUT_MS_MAX, 8_000])
        self.assertGreaterEqual(len(result.lost), 10)

    def test_each_register_counts(self) -> None:
        for name in served.ALWAYS - {"Counter"}:
            plant = Plant()
            when, value = plant.history[name][5]
            plant.history[name][5] = (when, value + 0.1)
            self.assertEqual(plant.judge(), (0, 0, 1), name)
            del plant.history[name][5]
            self.assertEqual(plant.judge(), (0, 0, 1), name)

    def test_a_change_that_was_not_stored_is_wrong_from_then_on(self) -> None:
        plant = Plant()
        plant.history["Setpoint"] = [(495, 20.0)]
        self.assertEqual(plant.judge(), (0, 0, 17))  # 16 polls, and what was read back

    def test_a_poll_cut_off_in_its_middle_is_no_fault(self) -> None:
        plant = Plant()
        plant.note(1_450, "read", "Running", 0)
        plant.journal.insert(10 * 5 + 2, plant.journal.pop())  # after the tenth poll, before the cut
        self.assertEqual(plant.judge(), (1, 0, 0))


if __name__ == "__main__":
    unittest.main()
