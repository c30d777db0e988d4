//! Words akin to the category names that are common in business, support, reviews and news.

/// What a category of one of these names is likely to be about. Phrases are separated by commas,
/// and compared by their stems.
pub(super) struct Topic {
    /// The first is the one by which `opposite` refers to a topic.
    pub(super) names: &'static [&'static str],
    /// Seldom said of anything else.
    pub(super) strong: &'static str,
    pub(super) weak: &'static str,
    /// For opinions: the topic whose words, when denied, speak for this one.
    pub(super) opposite: Option<&'static str>,
}

const fn topic(names: &'static [&'static str], strong: &'static str, weak: &'static str) -> Topic {
    Topic { names, strong, weak, opposite: None }
}

#[rustfmt::skip]
pub(super) const TOPICS: &[Topic] = &[
    // Support.
    topic(&["billing", "payment", "invoice"],
        "invoice, charge, charged twice, double charged, credit card, debit card, direct debit, \
         billing, overcharged, receipt, vat, payment, prorated, bank statement, purchase order",
        "card, pay, paid, subscription, price, bank, amount, statement, tax, plan, fee, cost, \
         renewal, renew, transaction, debited, expired, money, euro, dollar, credit, balance, \
         coupon, discount, upgrade, downgrade, annual, monthly"),
    topic(&["bug", "bug report", "error", "crash", "defect", "incident"],
        "bug, crash, stack trace, exception, error, error message, freeze, 500, 404, null \
         pointer, segfault, reproduce, steps to reproduce, regression, not working, doesn't work, \
         stopped working, broken, blank page, white screen, typeerror, glitch, traceback, \
         infinite loop",
        "fail, wrong, issue, problem, break, broke, hang, stuck, spinner, unexpected, incorrect, \
         missing, corrupt, since the update, after the update, version, timeout, browser, chrome, \
         firefox, safari, load, console, button, nothing happens, duplicate, empty, garbled, \
         fix"),
    topic(&["feature", "feature request", "enhancement", "improvement", "idea", "suggestion"],
        "feature request, feature, would be nice, would be great, would love, it would help, \
         please add, could you add, can you add, suggestion, wish, enhancement, dark mode, \
         roadmap, make it possible, be handy, be useful, would be helpful, any plans, ability \
         to",
        "add, support for, option, allow, integrate, integration, improve, improvement, idea, \
         suggest, shortcut, love to see, customize, export, wishlist, consider, let us, bulk, \
         instead of, ideally, missing feature, currently, plan to"),
    topic(&["account", "account access", "login", "access", "authentication", "password", "sign
            in"],
        "password, log in, login, sign in, locked out, reset link, two factor, 2fa, \
         authenticator, verification code, username, sso, single sign on, logged out, logs me \
         out, credential, delete my account, account",
        "access, reset, email address, locked, verify, verification, profile, authenticate, \
         session, permission, phone number, invite, admin, user, sign up, code, expired"),
    topic(&["shipping", "delivery", "shipment", "logistics", "order status", "order"],
        "deliver, delivery, shipping, shipment, parcel, courier, tracking number, tracking, \
         package, customs, warehouse, in transit, dispatch, out for delivery, fedex, dhl, postal, \
         not arrived, never arrived, hasn't arrived",
        "arrive, order, address, driver, post, label, late, box, door, neighbour, neighbor, \
         estimated, days, delayed, waiting, lost, depot, express"),
    topic(&["refund", "return", "exchange"],
        "refund, money back, return, send back, send it back, return label, exchange, reimburse, \
         reimbursement, wrong size, store credit, chargeback, restocking",
        "damaged, faulty, unopened, original packaging, label, days, policy, size, smaller, \
         larger, wrong item, unworn, back, credited"),
    topic(&["cancellation", "cancel", "churn", "unsubscribe"],
        "cancel, cancellation, unsubscribe, close my account, stop my subscription, end my \
         subscription, terminate, opt out, leaving, not renew",
        "subscription, anymore, no longer, switch, renewal, stop, end, competitor, trial"),
    topic(&["technical", "technical support", "tech support", "troubleshooting", "support"],
        "how do i, how can i, error, not working, doesn't work, troubleshoot, setup, set up, \
         install, configure, configuration, documentation, help with, stuck",
        "help, instruction, connect, api, update, reinstall, restart, setting, issue, problem, \
         guide, manual, fail, device, sync"),
    topic(&["question", "how to", "inquiry", "product question"],
        "how do i, how can i, how does, is it possible, does it, is there, can i, do you, what \
         is, where can i, wondering, compatible, question",
        "explain, difference, documentation, guide, help, tell me, clarify, included, fit, work \
         with, mean"),
    topic(&["sales", "pricing", "lead", "purchase", "quote"],
        "quote, pricing, demo, buy, purchase, enterprise, volume discount, seats, licence, \
         license, proposal, sales, reseller, procurement, evaluate, interested in, rfp",
        "plan, team of, employees, trial, discount, offer, call, upgrade, vendor, compare, \
         budget, cost, contract, quarter, partner, users"),
    topic(&["feedback", "comment"],
        "feedback, suggestion, opinion, survey, in my view",
        "think, feel, improve, experience, love, like, dislike"),
    topic(&["complaint"],
        "complaint, complain, unacceptable, disgusted, appalled, rude, manager, outraged, \
         disappointed, disgraceful, worst, terrible, ridiculous, fed up, compensation, apology, \
         shocking, awful, dreadful, ignored",
        "poor, angry, unhappy, third time, still waiting, never again, waste, nobody, frustrated, \
         useless, late, dirty, cold, service, hung up, broken, promise"),
    topic(&["praise", "compliment", "thanks", "kudos", "appreciation"],
        "thank, thank you, wonderful, brilliant, amazing, excellent, fantastic, superb, kudos, \
         well done, hats off, delighted, grateful, above and beyond, shout out, outstanding, \
         impressed, lovely, shoutout",
        "great, kind, helpful, happy, best, friendly, perfect, appreciate, recommend, pleasure, \
         saved, quick, made my day, patient, team"),
    topic(&["urgent", "critical", "high", "high priority", "emergency", "p1"],
        "urgent, asap, immediately, emergency, outage, production is down, is down, are down, all \
         customers, data loss, breach, critical, right now, cannot work, completely down, every \
         customer, losing money, security incident, leaked, system down, nobody can, at once",
        "blocked, deadline, today, tonight, serious, entire, stopped, losing, halt, legal, within \
         the hour, production, everyone, whole, all users, fire, exposed, fail, furious, stuck, \
         crash"),
    topic(&["low", "low priority", "minor", "p3", "trivial"],
        "no rush, no hurry, whenever, minor, typo, cosmetic, nice to have, not urgent, low \
         priority, small, tiny, someday, when you have time, spare moment, trivial, at some \
         point, nitpick",
        "curious, slightly, little, wondering, spelling, colour, color, align, alignment, icon, \
         wording, tooltip, suggestion, pixel"),
    // IT.
    topic(&["hardware", "device"],
        "laptop, keyboard, mouse, monitor, printer, screen, battery, charger, docking station, \
         dock, hard drive, toner, fan, headset, webcam, usb, hinge, overheating, cable, \
         projector, scanner",
        "hardware, device, cracked, key, port, plug, power, replace, replacement, spill, desk, \
         noise, paper jam, flickers, swollen, broken, charge, beep, lid, socket"),
    topic(&["software", "application", "app"],
        "install, licence, license, excel, word, outlook, photoshop, plugin, application, \
         software, app, macro, add in, driver, uninstall, spreadsheet, activation, adobe, pdf, \
         python",
        "update, version, open, crash, file, program, upgrade, window, error, patch, feature, \
         template, teams, zoom, browser, launch, menu"),
    topic(&["network", "connectivity", "internet"],
        "wifi, wi fi, network, vpn, ethernet, router, bandwidth, dns, internet, intranet, ip \
         address, packet loss, latency, lan, access point, firewall, signal, proxy, connectivity, \
         hotspot, dhcp",
        "connect, connection, disconnect, reach, drop, slow, ping, port, server, shared drive, \
         offline, speed, remote, switch, cable, meeting room, unreachable, floor"),
    topic(&["security", "phishing", "fraud", "abuse", "scam"],
        "phishing, malware, virus, ransomware, hacked, suspicious, breach, stolen, unauthorized, \
         unauthorised, compromised, vulnerability, fraud, fraudulent, attacker, scam, trojan, \
         encrypted, leaked, impersonating, password was",
        "security, link, attachment, password, clicked, sender, login attempt, unknown, lost, \
         exposed, credential, alert, strange, pretending, claiming, someone, russia"),
    topic(&["performance", "latency", "speed"],
        "slow, latency, lag, sluggish, performance, timeout, memory leak, cpu, throughput, takes \
         forever, slower",
        "load, seconds, minutes, wait, speed, spike, query, cache, optimize"),
    topic(&["hr", "human resources", "people"],
        "payroll, vacation, parental leave, sick leave, holiday allowance, onboarding, salary, \
         payslip, benefits, annual leave, maternity, pension, hr, resignation, job offer",
        "leave, manager, employee, contract, holiday, hire, new starter, training, policy"),
    topic(&["legal", "compliance", "privacy", "gdpr"],
        "gdpr, contract, lawyer, attorney, legal, clause, liability, nda, terms of service, \
         compliance, lawsuit, data processing, subpoena, trademark, copyright, privacy, court",
        "agreement, sign, terms, policy, consent, personal data, delete my data, law, audit, \
         regulation, license, counsel"),
    topic(&["spam", "junk", "advertisement", "promotion", "advertising", "marketing"],
        "winner, lottery, click here, act now, free gift, viagra, casino, bitcoin, crypto, \
         guaranteed, limited time, congratulations, prize, claim your, earn money, work from \
         home, 100 free, no obligation, million dollars, weight loss, cheap, unsubscribe, risk \
         free, investment opportunity, seo, backlinks, followers, inheritance, prince, you have \
         won, you have been selected, wire transfer, miracle, hot singles, double your, pre \
         approved, payday, giveaway",
        "free, win, won, offer, cash, bonus, deal, exclusive, loan, selected, discount, buy now, \
         claim, urgent, expires, profit, click, gift card, amazing, rich, income, visit our, \
         whatsapp, telegram, beneficiary, ranking, investment, sale, lose, pounds"),
    // Opinion.
    Topic { names: &["positive", "positive review", "good", "happy", "satisfied", "pos"],
        strong: "love, excellent, amazing, wonderful, fantastic, perfect, superb, delighted, \
         brilliant, awesome, outstanding, best, highly recommend, impressed, flawless, delicious, \
         beautiful, gorgeous, great, incredible, exceeded, five stars, 5 stars, thrilled, joy, \
         gem, delightful, magnificent, pleasure, charming, favourite, favorite, heartily, like \
         new, worth every, couldn't be happier, will buy again, will be back, stunning, \
         masterpiece",
        weak: "good, nice, happy, pleased, recommend, comfortable, easy, fast, friendly, helpful, \
         quick, sturdy, clean, fresh, tasty, enjoy, like, smooth, glad, thank, worth, solid, \
         reliable, quiet, crisp, attentive, kind, generous, warm, spotless, works, pleasant, fun, \
         bargain, well made, intuitive, welcoming, satisfied, bright, cosy, cozy, laugh",
        opposite: Some("negative") },
    Topic { names: &["negative", "negative review", "bad", "unhappy", "dissatisfied", "neg"],
        strong: "terrible, awful, horrible, worst, waste, disappointed, disappointment, useless, \
         refund, broke, broken, rude, hate, disgusting, poor, garbage, junk, defective, \
         overpriced, unacceptable, avoid, frustrating, stopped working, dreadful, unusable, scam, \
         filthy, inedible, one star, 1 star, zero stars, regret, ruined, misleading, fell apart, \
         never again, never buying, expected more, expected better, appalling, nightmare, boring, \
         rip off, returned it, sending it back, leaks, mediocre, let down, letdown, cheaply made, \
         failed, money back",
        weak: "bad, slow, cold, dirty, late, wrong, problem, noisy, loud, flimsy, cheap, crash, \
         missing, damaged, ignored, unhelpful, uncomfortable, stain, sticky, smell, bland, dull, \
         sadly, unfortunately, annoying, confusing, expensive, hard, cracked, ripped, tore, \
         scratched, faded, died, dies, error, complaint, return, stale, lukewarm, burnt, itchy, \
         shrank, uneven, wobbly, waited, nobody, unreliable, weak, tired, cramped, overcooked, \
         gave up, came off, sag, snapped, hurt, fell off, soggy, peeling, lost, limp",
        opposite: Some("positive") },
    topic(&["neutral", "mixed", "average"],
        "okay, ok, average, as described, as expected, so so, nothing special, decent, alright, \
         mixed, middling, not bad not great, does the job, three stars, 3 stars, adequate, \
         standard, pros and cons, on the one hand",
        "fine, ordinary, usual, expected, acceptable, haven't tried yet, medium, typical, fair, \
         normal, some"),
    // News.
    topic(&["sports", "football", "soccer", "athletics"],
        "match, goal, championship, tournament, coach, league, cup, striker, olympic, \
         quarterback, touchdown, innings, wicket, tennis, football, basketball, baseball, \
         cricket, rugby, marathon, medal, semifinal, playoff, grand slam, penalty, midfielder, \
         halftime, stoppage time, golf, goalkeeper, sprinter, relay, cyclist, peloton, hockey, \
         formula one, grand prix, boxer, sport",
        "team, player, season, win, won, beat, score, final, title, stadium, race, game, defeat, \
         club, victory, champion, fans, set, transfer, injury, points, record, lap, round, \
         overtime, squad, draw"),
    topic(&["politics", "political", "government", "policy", "elections"],
        "parliament, senate, election, minister, president, congress, lawmaker, legislation, \
         ballot, voter, coalition, campaign, prime minister, referendum, opposition, senator, \
         governor, mayor, chancellor, diplomat, cabinet, democrat, republican, constituency, \
         veto, mp, treaty, party leader, sanctions, bill passed",
        "government, vote, party, law, policy, bill, reform, debate, candidate, office, council, \
         majority, poll, summit, seat, foreign, leader, elected, tax, speech, amendment, \
         committee, state, approved"),
    topic(&["business", "finance", "economy", "economics", "financial", "money"],
        "shares, profit, earnings, revenue, merger, acquisition, investor, stock market, stocks, \
         inflation, central bank, interest rate, quarterly, bankruptcy, ceo, dividend, ipo, \
         shareholder, retailer, gdp, startup funding, unemployment, bond, trade deficit, exports, \
         layoffs, wall street, takeover, economist, losses",
        "company, market, bank, sales, price, percent, billion, million, firm, economy, rate, \
         deal, growth, cut, jobs, analyst, forecast, fund, trade, supplier, factory, currency, \
         manufacturer, chain, economic, investment, costs, workers"),
    topic(&["technology", "tech", "computing", "it", "ai"],
        "software, smartphone, artificial intelligence, ai, chip, semiconductor, startup, app, \
         cyber, robot, cloud, browser, open source, developer, processor, quantum computer, \
         algorithm, gadget, operating system, data center, encryption, laptop, chatbot, \
         programming, 5g, gpu, silicon, headset, encrypted, social network, hacker, smart",
        "device, data, digital, internet, online, computer, user, phone, update, launch, tech, \
         platform, code, tool, battery, electric, web, camera, search engine, model, video, \
         feature, messaging, engineer"),
    topic(&["science", "research", "space", "environment", "climate"],
        "scientist, researcher, study, telescope, physics, species, fossil, galaxy, planet, nasa, \
         experiment, astronomer, genome, biologist, particle, orbit, laboratory, spacecraft, \
         moon, mars, geologist, dna, journal, asteroid, ecosystem, glacier, chemist, dinosaur, \
         physicist, microbe, coral, comet, paleontologist, archaeologist, neutrino, rover",
        "research, discover, discovery, found, evidence, ocean, climate, theory, university, \
         cell, light, sample, measure, detect, bacteria, rock, star, energy, years ago, ancient, \
         satellite, carbon, evolution, observed, molecule, atmosphere, deep"),
    topic(&["health", "medicine", "medical", "healthcare", "wellness"],
        "patient, hospital, vaccine, disease, doctor, clinical trial, virus, cancer, drug, \
         symptom, diabetes, outbreak, infection, nurse, surgery, therapy, heart disease, blood \
         pressure, obesity, mental health, dementia, flu, measles, medicine, diagnosis, \
         antibiotic, public health, asthma, stroke, insulin, physician, allergy, malaria, \
         epidemic",
        "health, treatment, care, risk, diet, sleep, dose, exercise, clinic, medical, immune, \
         adults, children, heart, trial, brain, pain, pregnancy, illness, screening, smoking, \
         deaths"),
    topic(&["entertainment", "culture", "arts", "movies", "film", "music", "celebrity"],
        "film, movie, album, actor, actress, singer, box office, concert, director, festival, \
         oscar, grammy, novel, theatre, theater, band, sequel, premiere, hollywood, tv series, \
         sitcom, museum, exhibition, painting, guitarist, soundtrack, screenplay, orchestra, \
         playwright, pop star, broadway, streaming series, comedian, opera, ballet, rapper, \
         biopic",
        "show, star, series, award, music, song, tour, stage, audience, cast, role, episode, \
         drama, comedy, fans, book, author, artist, studio, critics, season, celebrity, debut, \
         scene, tickets, prize, gallery"),
    topic(&["weather", "forecast"],
        "rain, storm, snow, thunderstorm, hurricane, temperature, sunny, cloudy, degrees, \
         celsius, gusts, flood warning, heatwave, heat wave, blizzard, fog, tornado, frost, \
         showers, drizzle, meteorologist, humid, sleet, typhoon, drought, forecaster, cyclone, \
         hail, monsoon",
        "weather, wind, forecast, heat, cold, warm, flood, dry, inches, ice, sky, coast, morning, \
         evening, weekend, overnight, wet, winter, summer, front, pressure, cool, low, high"),
    topic(&["crime", "law enforcement", "justice"],
        "police, arrested, murder, robbery, suspect, burglary, detective, sentenced, prison, \
         shooting, stolen, theft, jury, prosecutor, convicted, charged with, assault, homicide, \
         smuggling",
        "court, trial, judge, victim, guilty, officer, fraud, gang, investigation, jail, \
         weapon"),
    topic(&["travel", "tourism"],
        "flight, hotel, airport, tourist, passport, visa, airline, luggage, itinerary, beach, \
         cruise, destination, sightseeing, resort, boarding pass",
        "trip, travel, booking, guide, tour, train, city, island, vacation, holiday, room"),
    topic(&["food", "restaurant", "cooking", "recipe"],
        "recipe, restaurant, chef, bake, oven, ingredient, flour, delicious, menu, dish, cuisine, \
         tablespoon, simmer, garlic, dessert, roast",
        "food, eat, meal, cook, taste, butter, sugar, salt, kitchen, dinner, lunch, flavour, \
         flavor"),
    topic(&["education", "school"],
        "student, teacher, school, university, classroom, curriculum, exam, tuition, homework, \
         college, pupil, lecture, scholarship, campus",
        "learn, course, class, degree, study, lesson, grade, teach, parents"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::profile::phrase;
    use super::*;
    use crate::tool::offline::text::is_stop_word;

    fn phrases(topic: &Topic) -> Vec<Vec<String>> {
        topic.strong.split(',').chain(topic.weak.split(',')).map(phrase).collect()
    }

    #[test]
    fn no_phrase_is_empty_or_a_stop_word() {
        for topic in TOPICS {
            for phrase in phrases(topic) {
                let alone = if let [word] = phrase.as_slice() { word } else { "two or more" };
                assert!(!phrase.is_empty(), "{:?}", topic.names);
                assert!(!is_stop_word(alone), "{:?}: {alone}", topic.names);
            }
        }
    }

    #[test]
    fn no_topic_says_a_phrase_twice() {
        for topic in TOPICS {
            let mut seen = BTreeSet::new();
            for phrase in phrases(topic) {
                assert!(seen.insert(phrase.clone()), "{:?}: {phrase:?}", topic.names);
            }
        }
    }

    #[test]
    fn no_two_topics_bear_the_same_name() {
        let mut seen = BTreeSet::new();
        for name in TOPICS.iter().flat_map(|topic| topic.names) {
            assert!(seen.insert(phrase(name)), "{name}");
        }
    }

    #[test]
    fn an_opposite_is_a_topic_that_opposes_back() {
        for topic in TOPICS.iter().filter(|topic| topic.opposite.is_some()) {
            let other = TOPICS.iter().find(|other| topic.opposite == other.names.first().copied());
            assert_eq!(other.and_then(|other| other.opposite), topic.names.first().copied());
        }
    }
}
